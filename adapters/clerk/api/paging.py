"""The position in Clerk's list of all users, from page to page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.errors import CursorRefused, IdentityProviderUnavailable
from domain.user import UserId

PAGE_SIZE = 500
"""Clerk's maximum."""

FIRST_PAGE = 50
"""The first page of the last updated: mostly few were updated since the last walk."""

OVERLAP = 25
"""How many users a page of the last updated has in common with the page before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The user after which the next page starts, and how many users came before.

    Paging by cursor (`starting_after`) misses no user. If the user at the cursor is deleted, the
    next page starts after `spare`, the last but one. If Clerk does not accept cursors, paging is by
    offset, which can miss a user while others are deleted.
    """

    cursor: UserId | None
    spare: UserId | None = None
    seen: int = 0
    by_offset: bool = False

    @property
    def params(self) -> dict[str, str | int]:
        """The query parameters of the next page."""
        if self.by_offset:
            return {"offset": self.seen}
        return {} if self.cursor is None else {"starting_after": self.cursor}

    def otherwise(self) -> "Position":
        """The same position by other parameters. Raises `CursorRefused` if there are none left."""
        if self.by_offset or not self.seen:
            raise CursorRefused("the list of users cannot be resumed at that user")
        if self.spare is not None:
            return replace(self, cursor=self.spare, spare=None)
        return replace(self, by_offset=True)

    def after(self, size: int, ids: Sequence[UserId]) -> "Position":
        """The position after a page of `size` users.

        Raises `IdentityProviderUnavailable` if the page ends with the same user as the last one.
        """
        if not ids or ids[-1] == self.cursor:
            raise IdentityProviderUnavailable("the list of users does not advance")
        spare = ids[-2] if len(ids) > 1 else None
        return replace(self, cursor=ids[-1], spare=spare, seen=self.seen + size)


class NewestFirst:
    """A walk by offset in the order of the last update, while users are updated and deleted.

    An updated user moves to the front, so others are shown twice and nobody is missed but those
    updated meanwhile, whom the next walk finds. A deleted one lets all behind it move forward, and
    the next page would begin behind users that were never shown. So the pages overlap: while a page
    shows somebody of the page before it, nobody was missed between the two.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self.offset = 0
        self._shown: list[UserId] = []

    @property
    def limit(self) -> int:
        """The size of the next page."""
        return PAGE_SIZE if self.offset else FIRST_PAGE

    def is_new(self, user_id: UserId | None) -> bool:
        """Whether the page before did not show them."""
        return user_id not in self._shown

    def advance(self, size: int, ids: Sequence[UserId]) -> None:
        """Past a page of `size` users. Raises `IdentityProviderUnavailable` when it is no news, or
        when users may have been missed; the walk is then worth beginning anew.
        """
        if self.offset and not set(ids) & set(self._shown):
            raise IdentityProviderUnavailable("too many users were deleted during the walk")
        self.has_ended = size < self.limit
        if not self.has_ended and ids in ([], self._shown):
            raise IdentityProviderUnavailable("the list of users does not advance")
        self.offset += size - OVERLAP
        self._shown = list(ids)

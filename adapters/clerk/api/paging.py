"""The position in Clerk's list of all users, from page to page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.errors import CursorRefused, IdentityProviderUnavailable
from domain.user import UserId

PAGE_SIZE = 500
"""Clerk's maximum."""

FIRST_PAGE = 50
"""The size of the first page of the last updated: in most walks, few users were updated."""

OVERLAP = 25
"""How many users a page of the last updated has in common with the page before it, if that one is
long enough; else it has half of them.
"""


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

    An updated user moves to the front. So other users are shown twice, and only users that are
    updated meanwhile are missed: the next walk finds them. When a user is deleted, all users behind
    it move forward, and the next page would skip some. So the pages overlap: if a page has a user
    of the page before it, no user was skipped between the two.

    A proxy may cap `limit`, so that only a page without a new user is the end. Most walks ask for
    no such page: they end at a user who was not updated lately.
    """

    def __init__(self) -> None:
        self.has_ended = False
        self.offset = 0
        self._overlap = 0
        self._was_full = False
        self._shown: list[UserId] = []

    @property
    def limit(self) -> int:
        """The size of the next page."""
        return PAGE_SIZE if self.offset else FIRST_PAGE

    def is_new(self, user_id: UserId | None) -> bool:
        """Whether the user was not on the page before."""
        return user_id not in self._shown

    def advance(self, size: int, ids: Sequence[UserId]) -> None:
        """Past a page of `size` users. Raises `IdentityProviderUnavailable` if the list does not
        advance, or if users may have been missed. Then begin the walk again.
        """
        if self._is_lost(ids):
            raise IdentityProviderUnavailable("too many users were deleted during the walk")
        self.has_ended = set(ids) <= set(self._shown)
        repeated = size > OVERLAP and list(ids) == self._shown
        if self.has_ended and (repeated or size >= self.limit):
            raise IdentityProviderUnavailable("the list of users does not advance")
        self._was_full = size >= self.limit
        self._overlap = min(OVERLAP, size // 2)
        self.offset += size - self._overlap
        self._shown = list(ids)

    def _is_lost(self, ids: Sequence[UserId]) -> bool:
        """Whether users may have been skipped before this page.

        After a page that was short, an empty one is the end: of a few users some were deleted.
        """
        if not self._overlap or set(ids) & set(self._shown):
            return False
        return self._was_full or bool(ids)

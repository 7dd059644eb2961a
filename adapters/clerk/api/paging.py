"""The position in Clerk's list of all users, from page to page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.errors import CursorRefused, IdentityProviderUnavailable
from domain.user import UserId

PAGE_SIZE = 500
"""Clerk's maximum."""


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

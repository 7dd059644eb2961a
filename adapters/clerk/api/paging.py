"""Where a walk through all of Clerk's users stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.errors import CursorRefused, IdentityProviderUnavailable
from domain.user import UserId

PAGE_SIZE = 500
"""Clerk's own maximum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """After which user the next page starts, and how many came before.

    The cursor (`starting_after`) misses nobody. Its user may be deleted meanwhile, and then
    `spare`, the last but one, stands in. Where Clerk does not take cursors the offset must do,
    under which a user can slip through while others are deleted.
    """

    cursor: UserId | None
    spare: UserId | None = None
    seen: int = 0
    by_offset: bool = False

    @property
    def params(self) -> dict[str, str | int]:
        if self.by_offset:
            return {"offset": self.seen}
        return {} if self.cursor is None else {"starting_after": self.cursor}

    def otherwise(self) -> "Position":
        """Another way to the same place. Raises `CursorRefused` when there is none."""
        if self.by_offset or not self.seen:
            raise CursorRefused("the list of users cannot be resumed at that user")
        if self.spare is not None:
            return replace(self, cursor=self.spare, spare=None)
        return replace(self, by_offset=True)

    def after(self, size: int, ids: Sequence[UserId]) -> "Position":
        """Past a page of `size` users. Raises `IdentityProviderUnavailable` when it is no news."""
        if not ids or ids[-1] == self.cursor:
            raise IdentityProviderUnavailable("the list of users does not advance")
        spare = ids[-2] if len(ids) > 1 else None
        return replace(self, cursor=ids[-1], spare=spare, seen=self.seen + size)

"""Where a walk through all of Clerk's users stands."""

from dataclasses import dataclass, replace

from domain.errors import IdentityProviderUnavailable
from domain.user import UserId

PAGE_SIZE = 500
"""Clerk's own maximum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """After which user the next page starts, and how many came before.

    The cursor (`starting_after`) misses nobody. Where Clerk does not take it the offset must do,
    under which a user can slip through while others are deleted.
    """

    cursor: UserId | None
    seen: int = 0
    by_offset: bool = False

    @property
    def params(self) -> dict[str, str | int]:
        if self.by_offset:
            return {"offset": self.seen}
        return {} if self.cursor is None else {"starting_after": self.cursor}

    @property
    def has_offset(self) -> bool:
        """Whether the offset would lead to the same place as the cursor does."""
        return self.seen > 0 and not self.by_offset

    def after(self, size: int, last_id: UserId | None) -> "Position":
        """Past a page of `size` users. Raises `IdentityProviderUnavailable` when it is no news."""
        if last_id is None or last_id == self.cursor:
            raise IdentityProviderUnavailable("the list of users does not advance")
        return replace(self, cursor=last_id, seen=self.seen + size)

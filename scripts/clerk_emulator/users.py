"""The users of the instance, sorted by `created_at` and by `updated_at`.

As at Clerk, e-mail addresses, phone numbers, usernames and external ids are unique among the
existing users, and every change increases `updated_at`.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from scripts.clerk_emulator import errors
from scripts.clerk_emulator.user import User

Claim = tuple[str, str]
"""A unique field and its value, such as ("email_address", "ada@example.com")."""


class TimeOrder:
    """User ids sorted by a time, then by id."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, str]] = []

    def add(self, time: int, user_id: str) -> None:
        insort(self._keys, (time, user_id))

    def extend(self, keys: Iterable[tuple[int, str]]) -> None:
        self._keys.extend(keys)
        self._keys.sort()

    def remove(self, time: int, user_id: str) -> None:
        del self._keys[bisect_left(self._keys, (time, user_id))]

    def page(
        self, *, newest_first: bool, skip: int, limit: int, after: tuple[int, str] | None
    ) -> list[str]:
        """Up to `limit` ids that follow `after`, less the first `skip`. The cost is O(limit)."""
        if newest_first:
            end = len(self._keys) if after is None else bisect_left(self._keys, after)
            stop = max(end - skip, 0)
            keys = self._keys[max(stop - limit, 0) : stop][::-1]
        else:
            start = 0 if after is None else bisect_right(self._keys, after)
            keys = self._keys[start + skip : start + skip + limit]
        return [user_id for _, user_id in keys]


class Users:
    """The store. A record is immutable; a change replaces it. `revision` counts the changes."""

    def __init__(self) -> None:
        self._by_id: dict[str, User] = {}
        self._claims: dict[Claim, str] = {}
        self.by_created_at = TimeOrder()
        self.by_updated_at = TimeOrder()
        self.revision = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[User]:
        return iter(self._by_id.values())

    def find(self, user_id: str) -> User | None:
        return self._by_id.get(user_id)

    def get(self, user_id: str) -> User:
        """Raises `ClerkApiError` 404 if the user does not exist."""
        user = self._by_id.get(user_id)
        if user is None:
            raise errors.user_not_found(user_id)
        return user

    def has_email_address(self, address: str) -> bool:
        """Whether an existing user has this address."""
        return ("email_address", address.lower()) in self._claims

    def add(self, user: User) -> User:
        """Raises `ClerkApiError` 422 if another user has one of its unique values."""
        self._refuse_taken(user)
        self._insert(user)
        self.by_created_at.add(user.created_at, user.id)
        self.by_updated_at.add(user.updated_at, user.id)
        return user

    def add_many(self, users: list[User]) -> None:
        """As `add`, but sorts once: 100,000 users take one or two seconds."""
        for user in users:
            self._refuse_taken(user)
            self._insert(user)
        self.by_created_at.extend((user.created_at, user.id) for user in users)
        self.by_updated_at.extend((user.updated_at, user.id) for user in users)

    def change(self, user: User, now: int, **fields: Any) -> User:
        """Set these fields and increase `updated_at`. Returns the new record."""
        changed = replace(user, **fields, updated_at=max(now, user.updated_at + 1))
        self._refuse_taken(changed)
        self.remove(user)
        return self.add(changed)

    def remove(self, user: User) -> None:
        del self._by_id[user.id]
        self.by_created_at.remove(user.created_at, user.id)
        self.by_updated_at.remove(user.updated_at, user.id)
        for claim in _claims(user):
            self._claims.pop(claim, None)
        self.revision += 1

    def _insert(self, user: User) -> None:
        self._by_id[user.id] = user
        for claim in _claims(user):
            self._claims[claim] = user.id
        self.revision += 1

    def _refuse_taken(self, user: User) -> None:
        for kind, value in _claims(user):
            if self._claims.get((kind, value), user.id) != user.id:
                raise errors.identifier_exists(kind)


def _claims(user: User) -> Iterator[Claim]:
    for one in user.identifications:
        yield one.kind, one.value.lower()
    if user.username is not None:
        yield "username", user.username.lower()
    if user.external_id is not None:
        yield "external_id", user.external_id

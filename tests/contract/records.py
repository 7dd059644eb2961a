"""Observations that a store is given, and the record it has then."""

from domain.user import (
    LocalUser,
    UserChange,
    UserId,
)
from tests.contract.conftest import Store
from tests.people import observed


async def outcomes(store: Store, *changes: UserChange) -> list[str]:
    return [(await store.users.sync(observed(change))).outcome.value for change in changes]


async def live(store: Store, user_id: UserId) -> LocalUser:
    record = await store.users.get(user_id)
    assert isinstance(record, LocalUser)
    return record

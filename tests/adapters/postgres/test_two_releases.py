"""Two releases over the same rows: of one version, the observation with more fields is kept."""

from typing import Any

import pytest

from adapters.postgres.columns import USER_COLUMNS
from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.user import DIGEST_FORMAT, EmailAddress, LocalUser, User
from tests.people import BASE, new_id, observed, outcomes_of, user
from tests.postgres_server import Sql

COLUMNS_OF_1_0 = (
    "clerk_created_at",
    "email",
    "email_verified",
    "phone_number",
    "username",
    "first_name",
    "last_name",
    "image_url",
    "external_id",
    "public_metadata",
    "banned",
)

MANY = 200
"""The number of users: if chance decided, some of them would end differently."""


class UserOfTheNextRelease(User):
    """A user of a release that keeps one more field, and so has the next digest format."""

    @property
    def digest(self) -> bytes:
        return bytes([DIGEST_FORMAT + 1]) + user(self.clerk_id, last_name="more").digest[1:]


def read_by_the_next_release(one: User) -> User:
    fields = {name: getattr(one, name) for name in one.__dataclass_fields__}
    return UserOfTheNextRelease(**fields)


@pytest.fixture
def users(database: Database) -> PostgresUserRepository:
    return PostgresUserRepository(database)


async def outcomes(users: PostgresUserRepository, people: list[User]) -> set[Any]:
    return set(outcomes_of(await users.sync_many([observed(one) for one in people])))


async def test_the_observation_with_more_fields_is_kept_and_the_other_is_stale_for_every_user(
    users: PostgresUserRepository,
) -> None:
    """As during a rolling deployment: Svix redelivers to replicas of both releases, in any order."""
    here = [user(new_id(), updated=1, email=f"{number}@x.io") for number in range(MANY)]
    there = [read_by_the_next_release(one) for one in here]
    assert await outcomes(users, here) == {"created"}
    assert await outcomes(users, there) == {"updated"}
    assert await outcomes(users, here) == {"stale"}
    assert await outcomes(users, there) == {"unchanged"}


async def test_a_newer_version_of_the_older_release_is_kept(
    users: PostgresUserRepository,
) -> None:
    """The format settles ties of one version. Clerk's time comes first."""
    first = user(new_id(), updated=1)
    newer = user(first.clerk_id, updated=2, email="new@x.io")
    assert await outcomes(users, [read_by_the_next_release(first)]) == {"created"}
    assert await outcomes(users, [newer]) == {"updated"}
    record = await users.get(first.clerk_id)
    assert isinstance(record, LocalUser)
    assert record.email == "new@x.io"


async def test_rows_of_release_1_0_are_updated_once(
    users: PostgresUserRepository, sql: Sql
) -> None:
    """Their digests are 16 random bytes without a format, and their new columns are null."""
    people = [user(new_id(), updated=1, email=f"{number}@x.io") for number in range(MANY)]
    await outcomes(users, people)
    await sql.execute(
        "update users set digest = decode(md5(clerk_id), 'hex'), email_addresses = null, "
        "two_factor_enabled = null, locked = null"
    )
    record = await users.get(people[0].clerk_id)
    assert isinstance(record, LocalUser)
    assert (record.email_addresses, record.two_factor_enabled, record.locked) == ((), False, False)
    assert await outcomes(users, people) == {"updated"}
    assert await outcomes(users, people) == {"unchanged"}


async def test_a_deletion_by_release_1_0_empties_columns_that_it_does_not_know(
    users: PostgresUserRepository, sql: Sql
) -> None:
    address = EmailAddress(address="ada@x.io", verified=True, primary=True)
    ada = user(new_id(), updated=1, email_addresses=(address,), last_sign_in_at=BASE)
    await outcomes(users, [ada])
    emptied = ", ".join(f"{name} = null" for name in COLUMNS_OF_1_0)
    await sql.execute(f"update users set deleted_at = now(), {emptied}")
    row = await sql.fetchrow(f"select {', '.join(USER_COLUMNS)} from users")
    assert row is not None
    assert set(row) == {None}

"""Rows of an application's table and our users: which are linked, and which are only reported."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.postgres.adoption import PostgresAdoption
from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from domain.adoption import HostTable, UnfitTable, Verdict
from domain.errors import StorageUnavailable
from domain.sync_user import SyncUser
from domain.user import DeletedUser, EmailAddress, Source, User, UserChange, UserId
from tests.fakes.adoption import HostRow, InMemoryAdoption
from tests.people import at, user

Sql: TypeAlias = "asyncpg.Connection[Any]"

TABLE = HostTable(name="accounts", email="email", verified="verified")
ADDRESSES = ("ada@example.com", "ADA@example.com", " ada@example.com\t", "grace@example.com", "")


@pytest.fixture
async def accounts(sql: Sql) -> AsyncIterator[Sql]:
    await sql.execute("drop table if exists accounts")
    await sql.execute(
        "create table accounts (id text, email text, external_id text, verified boolean)"
    )
    yield sql
    await sql.execute("drop table accounts")


def person(
    number: int,
    email: str | None = None,
    *,
    verified: bool = True,
    others: tuple[str, ...] = (),
    external_id: str | None = None,
) -> User:
    addresses = [EmailAddress(address=one, verified=False, primary=False) for one in others]
    if email:
        addresses.append(EmailAddress(address=email, verified=verified, primary=True))
    return replace(
        user(UserId(f"user_{number}")),
        email=email,
        email_verified=bool(email) and verified,
        email_addresses=tuple(addresses),
        external_id=external_id,
    )


async def given_(
    sql: Sql, database: Database, rows: list[HostRow], users: list[User], *deleted: User
) -> InMemoryAdoption:
    """The same on both sides. Returns the fake."""
    await sql.execute("delete from accounts; delete from users; delete from adopted_users")
    await insert(sql, rows)
    await sync(database, [*users, *deleted])
    gone = [DeletedUser(clerk_id=one.clerk_id, deleted_at=at(1)) for one in deleted]
    await sync(database, gone)
    return InMemoryAdoption(rows=rows, users=users)


async def insert(sql: Sql, rows: list[HostRow]) -> None:
    values = [(row.id, row.email, row.external_id, row.verified) for row in rows]
    await sql.executemany(
        "insert into accounts (id, email, external_id, verified) values ($1, $2, $3, $4)", values
    )


async def sync(database: Database, changes: Sequence[UserChange]) -> None:
    repository = PostgresUserRepository(database)
    for change in changes:
        await repository.sync(SyncUser(change=change, source=Source.BACKFILL))


async def links(sql: Sql) -> dict[str, str]:
    found = await sql.fetch(
        "select row_id, clerk_id from adopted_users join users on users.id = user_id"
    )
    return {row["row_id"]: row["clerk_id"] for row in found}


async def test_by_external_id_and_by_a_verified_primary_address(
    accounts: Sql, database: Database, store_url: str
) -> None:
    rows = [
        HostRow("1", "old@example.com"),
        HostRow("2", " Grace@Example.com"),
        HostRow("3", "x@y.z"),
    ]
    users = [person(1, "ada@example.com", external_id="1"), person(2, "grace@example.com")]
    await given_(accounts, database, rows, users)
    adoption = PostgresAdoption(store_url)
    expected = {Verdict.BY_EXTERNAL_ID: 1, Verdict.BY_ADDRESS: 1, Verdict.NO_USER: 1}
    assert await adoption.report(TABLE) == expected
    assert await links(accounts) == {}
    assert await adoption.link(TABLE) == expected
    assert await links(accounts) == {"1": "user_1", "2": "user_2"}
    assert await adoption.link(TABLE) == {Verdict.LINKED_BEFORE: 2, Verdict.NO_USER: 1}


CASES: dict[str, tuple[list[HostRow], list[User], Verdict]] = {
    "unverified at Clerk": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com", verified=False)],
        Verdict.UNVERIFIED,
    ),
    "unverified in the table": (
        [HostRow("1", "ada@example.com", verified=False)],
        [person(1, "ada@example.com")],
        Verdict.UNVERIFIED,
    ),
    "not the primary one": (
        [HostRow("1", "ada@example.com")],
        [person(1, "new@example.com", others=("ada@example.com",))],
        Verdict.UNVERIFIED,
    ),
    "of two users": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com"), person(2, "Ada@example.com", verified=False)],
        Verdict.AMBIGUOUS,
    ),
    "claimed by another user": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com"), person(2, "b@example.com", others=("ADA@example.com",))],
        Verdict.AMBIGUOUS,
    ),
    "of two rows but for case and space": (
        [HostRow("1", "ada@example.com"), HostRow("2", " ADA@EXAMPLE.COM ", verified=False)],
        [person(1, "ada@example.com")],
        Verdict.AMBIGUOUS,
    ),
    "external id of two users": (
        [HostRow("1", "ada@example.com")],
        [person(1, "ada@example.com", external_id="1"), person(2, external_id="1")],
        Verdict.AMBIGUOUS,
    ),
    "an id of two rows": (
        [HostRow("1", "ada@example.com"), HostRow("1", "grace@example.com")],
        [person(1, "ada@example.com"), person(2, "grace@example.com")],
        Verdict.AMBIGUOUS,
    ),
    "its user belongs to another row": (
        [HostRow("1", "ada@example.com"), HostRow("2", "x@example.com")],
        [person(1, "ada@example.com", external_id="2")],
        Verdict.CONFLICT,
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_what_may_be_somebody_elses_is_never_linked(
    accounts: Sql, database: Database, store_url: str, case: str
) -> None:
    rows, users, verdict = CASES[case]
    await given_(accounts, database, rows, users)
    adoption = PostgresAdoption(store_url)
    judged = {one.row_id: one.verdict async for one in adoption.judged(TABLE)}
    assert judged["1"] is verdict
    await adoption.link(TABLE)
    assert "1" not in await links(accounts)


async def test_a_deleted_user_takes_part_in_nothing_and_keeps_their_link(
    accounts: Sql, database: Database, store_url: str
) -> None:
    ada = person(1, "ada@example.com", external_id="1")
    await given_(accounts, database, [HostRow("1", "ada@example.com")], [], ada)
    adoption = PostgresAdoption(store_url)
    assert await adoption.link(TABLE) == {Verdict.NO_USER: 1}
    tombstone = await accounts.fetchval("select id from users")
    await accounts.execute(
        "insert into adopted_users values ('public.accounts', '1', $1, 'by_address')", tombstone
    )
    assert await adoption.link(TABLE) == {Verdict.LINKED_BEFORE: 1}
    await sync(database, [person(2, "ada@example.com")])
    # Whoever comes back under another id is somebody else until a person has looked.
    assert await adoption.link(TABLE) == {Verdict.CONFLICT: 1}


async def test_without_a_word_about_verification_no_address_counts(
    accounts: Sql, database: Database, store_url: str
) -> None:
    rows = [HostRow("1", "ada@example.com", verified=False)]
    await given_(accounts, database, rows, [person(1, "ada@example.com")])
    adoption = PostgresAdoption(store_url)
    bare = HostTable(name="accounts", email="email")
    assert await adoption.report(bare) == {Verdict.UNVERIFIED: 1}
    every = HostTable(name="accounts", email="email", all_verified=True)
    assert await adoption.report(every) == {Verdict.BY_ADDRESS: 1}
    none = HostTable(name="accounts")
    assert await adoption.report(none) == {Verdict.NO_USER: 1, Verdict.NO_ROW: 1}


IDS = st.sampled_from(("1", "2", "3", "4"))
ROWS = st.lists(
    st.builds(
        HostRow,
        id=IDS,
        email=st.sampled_from((None, *ADDRESSES)),
        external_id=st.sampled_from((None, "x", "y")),
        verified=st.booleans(),
    ),
    max_size=5,
)
PEOPLE = st.lists(
    st.builds(
        person,
        st.integers(1, 4),
        st.sampled_from((None, *ADDRESSES[:4])),
        verified=st.booleans(),
        others=st.lists(st.sampled_from(ADDRESSES[:4]), max_size=1).map(tuple),
        external_id=st.sampled_from((None, "1", "2", "x", "y")),
    ),
    max_size=4,
    unique_by=lambda one: one.clerk_id,
)
TABLES = st.sampled_from(
    (
        TABLE,
        HostTable(name="accounts"),
        HostTable(name="accounts", email="email"),
        HostTable(name="accounts", email="email", external_id="external_id", all_verified=True),
    )
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, people=PEOPLE, rows_later=ROWS, people_later=PEOPLE, table=TABLES)
async def test_the_statement_judges_as_the_rule_written_out(
    accounts: Sql,
    database: Database,
    store_url: str,
    *,
    rows: list[HostRow],
    people: list[User],
    rows_later: list[HostRow],
    people_later: list[User],
    table: HostTable,
) -> None:
    """Twice: the second run has other rows and people, and meets the links of the first."""
    rule = await given_(accounts, database, rows, people)
    adoption = PostgresAdoption(store_url)
    await equal(adoption, rule, table)
    assert await links(accounts) == rule.links
    await accounts.execute("delete from accounts")
    await insert(accounts, rows_later)
    later = [replace(one, clerk_updated_at=at(9), observed_at=at(9)) for one in people_later]
    await sync(database, later)
    ids = {one.clerk_id for one in later}
    rule.rows = rows_later
    rule.users = [*(one for one in people if one.clerk_id not in ids), *later]
    await equal(adoption, rule, table)
    assert await links(accounts) == rule.links


async def equal(adoption: PostgresAdoption, rule: InMemoryAdoption, table: HostTable) -> None:
    """Both judge alike, and link alike."""
    judged = Counter([(one.row_id, one.verdict) async for one in adoption.judged(table)])
    assert judged == Counter([(one.row_id, one.verdict) async for one in rule.judged(table)])
    counted = await adoption.report(table)
    assert counted == await rule.report(table)
    assert await adoption.link(table) == counted
    await rule.link(table)


@pytest.mark.parametrize("kind", ["int", "bigint", "uuid", "text"])
async def test_an_id_may_be_of_any_type(
    sql: Sql, database: Database, store_url: str, kind: str
) -> None:
    value = str(uuid4()) if kind == "uuid" else "42"
    await sql.execute("drop schema if exists shop cascade")
    await sql.execute(f"create schema shop create table accounts (id {kind} primary key)")
    await sql.execute(f"insert into shop.accounts values ($1::text::{kind})", value)
    await sync(database, [person(1, external_id=value)])
    await PostgresAdoption(store_url).link(HostTable(name="shop.accounts"))
    assert await links(sql) == {value: "user_1"}
    assert await sql.fetchval("select table_name from adopted_users") == "shop.accounts"
    await sql.execute("drop schema shop cascade")


async def test_hostile_names_are_quoted(sql: Sql, database: Database, store_url: str) -> None:
    """Ours begin with `our.` in our statements; and `{}` stands for a name of theirs."""
    await sql.execute('create schema "our"')
    await sql.execute(
        """create table "our"."Users; drop table users {table} our.x" """
        '(id int, "select" text, "{id} \'our.users" text)'
    )
    name = '"our"."Users; drop table users {table} our.x"'
    await sql.execute(f"insert into {name} values (1, 'ada@example.com', 'x')")
    await sync(database, [person(1, "ada@example.com", external_id="x")])
    adoption = PostgresAdoption(store_url)
    by_id = HostTable(name=name, external_id="{id} 'our.users")
    assert await adoption.report(by_id) == {Verdict.BY_EXTERNAL_ID: 1}
    by_address = HostTable(name=name, email="select", all_verified=True)
    assert await adoption.link(by_address) == {Verdict.BY_ADDRESS: 1}
    plain = HostTable(name="our.Users; drop table users {table} our", id="id")
    with pytest.raises(UnfitTable):
        await adoption.report(plain)
    await sql.execute('drop schema "our" cascade')


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (HostTable(name="nowhere"), "there is no table or view nowhere"),
        (HostTable(name="a.b.c.d"), "there is no table or view a.b.c.d"),
        (HostTable(name="'; drop table users"), "there is no table or view"),
        (HostTable(name="accounts", id="number"), "public.accounts has no column number"),
        (
            HostTable(name="accounts", email="email", verified="external_id"),
            "external_id is neither a boolean nor a time",
        ),
    ],
)
async def test_a_table_that_cannot_be_used_is_named(
    accounts: Sql, store_url: str, table: HostTable, words: str
) -> None:
    with pytest.raises(UnfitTable, match=words):
        await PostgresAdoption(store_url).report(table)


def test_an_address_is_no_id() -> None:
    with pytest.raises(UnfitTable, match="the id must not be the address"):
        HostTable(name="accounts", id="Email", email="email")


async def test_a_time_of_verification_counts_once_it_is_there(
    accounts: Sql, database: Database, store_url: str
) -> None:
    await accounts.execute("alter table accounts add column confirmed_at timestamptz")
    await given_(
        accounts, database, [HostRow("1", "ada@example.com")], [person(1, "ada@example.com")]
    )
    table = HostTable(name="Accounts", email="EMAIL", verified="confirmed_at")
    adoption = PostgresAdoption(store_url)
    assert await adoption.report(table) == {Verdict.UNVERIFIED: 1}
    await accounts.execute("update accounts set confirmed_at = now()")
    assert await adoption.report(table) == {Verdict.BY_ADDRESS: 1}


async def test_rows_that_a_policy_hides_are_an_error_and_not_unique(
    accounts: Sql, store_url: str
) -> None:
    await accounts.execute("alter table accounts enable row level security")
    await accounts.execute("alter table accounts force row level security")
    name = f"adopts_{uuid4().hex}"
    await accounts.execute(
        f"create role {name} login password 'x'; grant select on accounts, users to {name};"
        f"grant select, insert on adopted_users to {name}"
    )
    parts = urlsplit(store_url)
    place = f"{name}:x@{parts.netloc.rpartition('@')[2]}"
    limited = PostgresAdoption(urlunsplit(parts._replace(netloc=place)))
    with pytest.raises(StorageUnavailable, match="row security hides rows"):
        await limited.report(TABLE)
    await accounts.execute("revoke select on accounts from " + name)
    with pytest.raises(UnfitTable, match=r"the role lacks SELECT on public\.accounts"):
        await limited.report(TABLE)
    await accounts.execute(f"drop owned by {name}; drop role {name}")

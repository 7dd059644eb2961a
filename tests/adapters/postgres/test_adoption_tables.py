"""Which tables of an application can be used, whatever they and their columns are named."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from adapters.postgres.adoption import PostgresAdoption
from adapters.postgres.database import Database
from domain.adoption import HostTable, UnfitTable, Verdict
from domain.errors import StorageUnavailable
from tests.adapters.postgres.accounts import TABLE, given_, links, person, sync
from tests.fakes.adoption import HostRow
from tests.postgres_server import Sql


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


@pytest.mark.parametrize("name", ["User", '"User"', "public.User"])
async def test_a_link_has_the_name_of_the_table_without_quotation_marks(
    sql: Sql, database: Database, store_url: str, name: str
) -> None:
    await sql.execute('create table "User" (id int); insert into "User" values (1)')
    await sync(database, [person(1, external_id="1")])
    adoption = PostgresAdoption(store_url)
    assert await adoption.link(HostTable(name=name)) == {Verdict.BY_EXTERNAL_ID: 1}
    assert await sql.fetchval("select table_name from adopted_users") == "public.User"
    assert await adoption.link(HostTable(name=name)) == {Verdict.LINKED_BEFORE: 1}
    await sql.execute('drop table "User"')


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


@asynccontextmanager
async def limited(sql: Sql, store_url: str) -> AsyncIterator[tuple[str, PostgresAdoption]]:
    """A role that has the rights to our tables alone, and adoption as that role."""
    name = f"adopts_{uuid4().hex}"
    await sql.execute(
        f"create role {name} login password 'x'; grant select on users to {name};"
        f"grant select, insert on adopted_users to {name}"
    )
    parts = urlsplit(store_url)
    place = f"{name}:x@{parts.netloc.rpartition('@')[2]}"
    yield name, PostgresAdoption(urlunsplit(parts._replace(netloc=place)))
    await sql.execute(f"drop owned by {name}; drop role {name}")


async def test_rows_that_a_policy_hides_are_an_error_and_not_unique(
    accounts: Sql, store_url: str
) -> None:
    await accounts.execute("alter table accounts enable row level security")
    await accounts.execute("alter table accounts force row level security")
    async with limited(accounts, store_url) as (role, adoption):
        with pytest.raises(UnfitTable, match=r"the role lacks SELECT on public\.accounts"):
            await adoption.report(TABLE)
        await accounts.execute(f"grant select on accounts to {role}")
        with pytest.raises(StorageUnavailable, match="row security hides rows"):
            await adoption.report(TABLE)


async def test_a_schema_that_the_role_may_not_use_is_named(sql: Sql, store_url: str) -> None:
    await sql.execute("create schema hidden create table accounts (id int)")
    words = r"the role lacks USAGE on the schema of hidden\.accounts"
    async with limited(sql, store_url) as (_, adoption):
        with pytest.raises(UnfitTable, match=words):
            await adoption.report(HostTable(name="hidden.accounts"))
    await sql.execute("drop schema hidden cascade")

"""Our schema in a database that already has other tables."""

import asyncio
import re
from functools import partial
from typing import Any

import asyncpg
import pytest

import adapters.postgres.change_tables  # noqa: F401 (adds its tables to the metadata)
from adapters.postgres import upgrade
from adapters.postgres.database import Database
from adapters.postgres.migrate import _run, migrate, missing_sql
from adapters.postgres.relations import RELATIONS
from adapters.postgres.schema import head, schema_state
from adapters.postgres.servers import Servers
from adapters.postgres.tables import Table
from adapters.postgres.users import PostgresUserRepository
from domain.errors import SchemaRefused
from domain.schema import SchemaState, Standing
from domain.user import LocalUser
from tests.people import delivered, new_id, user
from tests.postgres_server import Sql

HOST_USERS = "create table users (id bigint primary key, clerk_id text, email text)"
HOST_INDEXES = """
    alter table users add external_id text, add created_at timestamptz;
    create index on users (external_id);
    create index on users (created_at)
"""

QUOTED = '"my ""app"""'
"""A schema that DATABASE_SCHEMA cannot name, but a search path can."""

OUTSIDE_A_BODY = r";\n(?=(?:[^$]*\$\$[^$]*\$\$)*[^$]*$)"
"""The end of a statement, but not of one between `$$` and `$$`."""

LAST_IN_HOST_TABLE = "0008"
"""The newest revision that a release kept in `alembic_version`."""


async def state_of(url: str, schema: str | None = None) -> SchemaState:
    database = Database(url, schema=schema)
    await database.open()
    try:
        return await schema_state(database)
    finally:
        await database.close()


async def standing_of(url: str, schema: str | None = None) -> Standing:
    return (await state_of(url, schema)).standing


async def everything_of(host: Sql) -> set[Any]:
    """Every relation and every row of the host's version table."""
    relations = await host.fetch(
        "select relnamespace::regnamespace::text, relname from pg_class "
        "where relnamespace::regnamespace::text !~ '^(pg_|information_schema)'"
    )
    if await host.fetchval("select to_regclass('alembic_version') is null"):
        return {tuple(one) for one in relations}
    versions = await host.fetch("select version_num from alembic_version")
    return {tuple(one) for one in (*relations, *versions)}


async def old_install(url: str, host: Sql, revision: str = LAST_IN_HOST_TABLE) -> None:
    """A schema of a release that kept its revision in `alembic_version`."""
    await migrate(url)
    await _run(Servers(url), partial(upgrade.step_back, revision=revision))
    await host.execute("""
        create table alembic_version (
            version_num varchar(32) not null constraint alembic_version_pkc primary key
        );
        insert into alembic_version select version_num from clerk_user_sync_version;
        drop table clerk_user_sync_version
    """)


async def test_an_empty_database_is_behind_and_a_migrated_one_is_at_head(url: str) -> None:
    assert await standing_of(url) is Standing.BEHIND
    assert (await migrate(url)).standing is Standing.AT_HEAD
    assert await standing_of(url) is Standing.AT_HEAD
    assert (await state_of(url)).lacking == ()


def test_every_table_of_ours_is_looked_for_by_columns_that_it_has() -> None:
    for name, table in Table.metadata.tables.items():
        assert RELATIONS[name].columns <= set(table.columns.keys())


@pytest.mark.parametrize("revision", ["3f1c9a7be2d4", "0006", "0003", "0008"])
async def test_a_hosts_own_revision_is_never_taken_for_ours(
    url: str, host: Sql, revision: str
) -> None:
    await host.execute("create table alembic_version (version_num varchar(32) primary key)")
    await host.execute("insert into alembic_version values ($1)", revision)
    assert await standing_of(url) is Standing.BEHIND
    await migrate(url)
    assert await standing_of(url) is Standing.AT_HEAD
    assert await host.fetchval("select version_num from alembic_version") == revision


@pytest.mark.parametrize("revision", ["0004", "0006", "0008"])
async def test_the_revision_of_an_older_install_moves(url: str, host: Sql, revision: str) -> None:
    await old_install(url, host, revision)
    assert await standing_of(url) is Standing.BEHIND
    assert (await migrate(url)).standing is Standing.AT_HEAD
    assert await host.fetchval("select version_num from clerk_user_sync_version") == head()
    assert await host.fetchval("select to_regclass('alembic_version')") is None


async def test_a_revision_of_the_hosts_beside_ours_stays(url: str, host: Sql) -> None:
    await old_install(url, host)
    await host.execute("insert into alembic_version values ('3f1c9a7be2d4')")
    await migrate(url)
    assert await host.fetchval("select version_num from alembic_version") == "3f1c9a7be2d4"


async def test_a_revision_that_contradicts_our_tables_is_not_ours(url: str, host: Sql) -> None:
    await migrate(url)
    await host.execute("create table alembic_version (version_num varchar(32) primary key)")
    await host.execute("insert into alembic_version values ('0003')")
    await host.execute("drop table clerk_user_sync_version")
    before = await everything_of(host)
    with pytest.raises(SchemaRefused, match="clerk_user_sync_version is missing or empty"):
        await migrate(url)
    assert await everything_of(host) == before


@pytest.mark.parametrize("table", ["users", "sync_journal"])
async def test_a_table_of_the_hosts_in_the_way_is_named_and_nothing_changes(
    url: str, host: Sql, table: str
) -> None:
    await host.execute(HOST_USERS.replace("users", table))
    before = await everything_of(host)
    words = f"name of ours: {table}: set DATABASE_SCHEMA"
    with pytest.raises(SchemaRefused, match=words):
        await migrate(url)
    state = await state_of(url)
    assert (state.standing, state.names) == (Standing.IN_THE_WAY, (table,))
    assert await everything_of(host) == before


@pytest.mark.parametrize("schema", ["clerk", "My app-1"])
async def test_a_schema_of_ours_keeps_out_of_the_hosts_way(
    url: str, host: Sql, schema: str
) -> None:
    await host.execute(HOST_USERS)
    before = await everything_of(host)
    await migrate(url, schema)
    assert await standing_of(url, schema) is Standing.AT_HEAD
    made = await everything_of(host) - before
    assert {one[0].strip('"') for one in made} == {schema}
    await serves(url, schema)
    assert await host.fetchval("select count(*) from users") == 0


async def serves(url: str, schema: str | None) -> None:
    database = Database(url, schema=schema)
    await database.open()
    users = PostgresUserRepository(database)
    person = user(new_id())
    await users.sync(delivered(person))
    assert isinstance(await users.get(person.clerk_id), LocalUser)
    await database.close()


async def test_a_schema_in_the_address_is_the_same_as_in_the_setting(url: str) -> None:
    await migrate(f"{url}?schema=clerk")
    assert await standing_of(url, "clerk") is Standing.AT_HEAD
    await serves(f"{url}?schema=clerk&pgbouncer=true", None)


@pytest.mark.parametrize("as_sql", [False, True])
@pytest.mark.parametrize("begun", [None, "0007", "0014"])
async def test_a_table_of_the_hosts_behind_ours_in_the_search_path_keeps_its_indexes(
    url: str, host: Sql, *, begun: str | None, as_sql: bool
) -> None:
    """They have the names of ours. A migration that had `begun` goes on after that revision."""
    await host.execute(f"{HOST_USERS}; {HOST_INDEXES}; create schema {QUOTED}")
    await host.execute(
        "alter role current_user in database " + '"' + url.rpartition("/")[2] + '"'
        f" set search_path = {QUOTED}, public"
    )
    if begun:
        await migrate(url)
        await _run(Servers(url), partial(upgrade.step_back, revision=begun))
        await host.execute(f"drop index if exists {QUOTED}.users_external_id_idx")
    before = await everything_of(host)
    if as_sql:
        await host.execute(f"set search_path = {QUOTED}, public")
        await run_as_psql_does(host, await missing_sql(url))
    else:
        await migrate(url)
    assert await everything_of(host) >= before
    assert await standing_of(url) is Standing.AT_HEAD
    assert await host.fetchval(f"select count(*) from {QUOTED}.users") == 0


async def test_a_schema_of_a_newer_release_is_ahead_and_stays(url: str, host: Sql) -> None:
    await migrate(url)
    await host.execute("update clerk_user_sync_version set version_num = '9001'")
    assert await standing_of(url) is Standing.AHEAD
    assert (await migrate(url)).standing is Standing.AHEAD
    assert await host.fetchval("select version_num from clerk_user_sync_version") == "9001"
    await serves(url, None)


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        ("drop table sync_checkpoints", ("sync_checkpoints",)),
        ("alter table users rename column locked to blocked", ("users.locked",)),
        ("delete from clerk_user_sync_version", ("clerk_user_sync_version",)),
        ("drop table clerk_user_sync_version", ("clerk_user_sync_version",)),
        ("update clerk_user_sync_version set version_num = 'older'", ("clerk_user_sync_version",)),
    ],
)
async def test_a_number_without_the_tables_is_not_at_head(
    url: str, host: Sql, damage: str, names: tuple[str, ...]
) -> None:
    await migrate(url)
    await host.execute(damage)
    state = await state_of(url)
    assert (state.standing, state.names) == (Standing.INCOMPLETE, names)
    with pytest.raises(SchemaRefused):
        await migrate(url)


async def test_a_database_that_cannot_hold_every_name_is_refused(postgres_url: str) -> None:
    admin: Sql = await asyncpg.connect(postgres_url)
    name = f"latin_{new_id()}"
    await admin.execute(
        f"create database \"{name}\" encoding 'LATIN1' locale 'C' template template0"
    )
    try:
        url = f"{postgres_url.rpartition('/')[0]}/{name}"
        state = await state_of(url)
        assert (state.standing, state.names) == (Standing.WRONG_ENCODING, ("LATIN1",))
        with pytest.raises(SchemaRefused, match="server_encoding is LATIN1"):
            await migrate(url)
    finally:
        await admin.execute(f'drop database "{name}" with (force)')
        await admin.close()


async def test_many_migrations_at_once_into_a_schema_of_its_own_are_safe(url: str) -> None:
    await asyncio.gather(*(migrate(url, "clerk") for _ in range(4)))
    assert await standing_of(url, "clerk") is Standing.AT_HEAD


@pytest.mark.parametrize("schema", [None, "clerk"])
async def test_the_sql_for_an_administrator_makes_the_same_schema(
    url: str, host: Sql, schema: str | None
) -> None:
    """Run as psql runs a file: statement by statement."""
    text = await missing_sql(url, schema)
    assert text == upgrade.all_sql(schema)
    await run_as_psql_does(host, text)
    assert await standing_of(url, schema) is Standing.AT_HEAD
    assert await missing_sql(url, schema) == ""


async def test_the_sql_for_an_older_install_moves_its_revision(url: str, host: Sql) -> None:
    await old_install(url, host, "0006")
    await run_as_psql_does(host, await missing_sql(url))
    assert await standing_of(url) is Standing.AT_HEAD
    assert await host.fetchval("select to_regclass('alembic_version')") is None


async def run_as_psql_does(host: Sql, text: str) -> None:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    for statement in re.split(OUTSIDE_A_BODY, "\n".join(lines)):
        if statement.strip():
            await host.execute(statement)

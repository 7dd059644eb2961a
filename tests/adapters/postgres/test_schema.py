"""One source of truth for the schema: the migrations, the tables and the statements agree."""

import asyncio
from dataclasses import fields
from typing import Any

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import adapters.postgres.change_tables  # noqa: F401 (adds its tables to the metadata)
from adapters.postgres.migrate import migrate
from adapters.postgres.relations import VERSION_TABLE
from adapters.postgres.statements import BATCH_COLUMNS
from adapters.postgres.tables import JournalRow, Table, UserRow
from domain.user import KEPT_FIELDS, LocalUser
from tests.postgres_server import temporary_database

CATALOG = """
select table_name::text, 'column' as kind, column_name::text as name,
    data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '') as definition
from information_schema.columns where table_schema = 'public'
union all
select conrelid::regclass::text, 'constraint', conname::text, pg_get_constraintdef(oid)
from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'
union all
select tablename::text, 'index', indexname::text, indexdef
from pg_indexes where schemaname = 'public'
order by 1, 2, 3
"""


async def catalog(url: str) -> set[tuple[Any, ...]]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(CATALOG)
    await connection.close()
    return {tuple(row) for row in rows if row["table_name"] not in {VERSION_TABLE, "users_live"}}


def engine_to(url: str) -> Any:
    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(url),
        poolclass=NullPool,
    )


async def test_the_migrations_build_exactly_the_tables(store_url: str, postgres_url: str) -> None:
    async with temporary_database(postgres_url, "from_tables") as url:
        engine = engine_to(url)
        async with engine.begin() as connection:
            await connection.run_sync(Table.metadata.create_all)
        await engine.dispose()
        assert await catalog(url) == await catalog(store_url)


async def test_alembic_finds_nothing_left_to_migrate(store_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return list(compare_metadata(context, Table.metadata))

    engine = engine_to(store_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_migrations_from_many_processes_at_once_are_safe(postgres_url: str) -> None:
    async with temporary_database(postgres_url, "raced_migrations") as url:
        await asyncio.gather(*(migrate(url) for _ in range(5)))
        assert await catalog(url)


def test_a_users_row_is_the_local_user_and_what_the_rule_needs() -> None:
    columns = set(UserRow.model_fields)
    assert columns == {field.name for field in fields(LocalUser)} | {"digest", "deleted_at"}


def test_the_statement_brings_every_column_an_observation_has() -> None:
    types = {
        column.name: column.type.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
        for table in (UserRow, JournalRow)
        for column in Table.metadata.tables[str(table.__tablename__)].columns
    }
    assert set(BATCH_COLUMNS) <= set(types)
    assert set(KEPT_FIELDS) <= set(BATCH_COLUMNS)
    same = {"TIMESTAMP WITH TIME ZONE": "timestamptz"}
    for name, kind in BATCH_COLUMNS.items():
        declared = types[name]
        assert same.get(declared, declared.lower()) == kind, name

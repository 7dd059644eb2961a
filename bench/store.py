"""One durable Postgres, and a database with the same rows for each contestant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.migrate import migrate

TEMPLATE = "bench_template"
SECONDARY = """
select indexname, indexdef from pg_indexes
where tablename = $1 and indexname not in (select conname from pg_constraint)
"""

FILL = """
insert into users (clerk_id, clerk_updated_at, observed_at, digest, synced_by, email,
    email_verified, first_name, last_name, image_url, public_metadata, banned, clerk_created_at)
select coalesce(($2::text[])[n + 1], 'user_' || lpad(n::text, 27, '0')), t, t,
    sha256(n::text::bytea), 'backfill',
    'person' || n || '@example.com', true, 'Person', 'Number ' || n,
    'https://img.clerk.com/' || n, '{"plan": "pro"}', false, t
from generate_series(0, $1::bigint - 1) as n, (select timestamptz '2026-01-01' as t) as long_ago
on conflict do nothing
"""

FILL_JOURNAL = """
insert into sync_journal (svix_id, event_type, clerk_id, source, occurred_at, received_at,
    last_received_at, outcome, clerk_updated_at, stored_updated_at, body)
select 'msg_' || lpad(n::text, 27, '0'), 'user.updated',
    'user_' || lpad((n * 7919 % $2::bigint)::text, 27, '0'), 'webhook', t, t, t, 'updated', t, t,
    case when t > now() - interval '30 days' then sha256(n::text::bytea) end
from generate_series(0, $1::bigint - 1) as n,
    lateral (select now() - interval '180 days' * (1 - n::float8 / $1::bigint) as t) as moment
"""
"""Entries are spread over half a year, so that one half is older than 90 days, and due."""


class Store:
    """`url(name)` is the address of a database."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._server = server

    @property
    def pid(self) -> int:
        """The server's first process, the parent of one for each connection."""
        return self._server.postmaster_pid

    def url(self, name: str) -> str:
        return self._server.url(name)

    async def prepare(self, users: int, first: list[str]) -> None:
        """Create the rows that every database starts with. Called once, before `add`."""
        await self.make(TEMPLATE, users, first)

    async def make(self, name: str, users: int, first: list[str], journal: int = 0) -> str:
        """Create a database with this many users and journal entries. Returns its address."""
        await self._run("postgres", f'create database "{name}"')
        await migrate(self.url(name))
        connection = await asyncpg.connect(self.url(name))
        await _filled(connection, "users", FILL, users, first)
        if journal:
            await _filled(connection, "sync_journal", FILL_JOURNAL, journal, users)
        await connection.execute("vacuum analyze")
        await connection.close()
        return self.url(name)

    async def add(self, name: str) -> str:
        """Create a copy of those rows. Returns its address."""
        await self._run("postgres", f'create database "{name}" template "{TEMPLATE}"')
        return self.url(name)

    async def checkpoint(self) -> None:
        """Write out what earlier turns wrote, so that it does not slow down the next one."""
        await self._run("postgres", "checkpoint")

    async def _run(self, database: str, statement: str) -> None:
        connection = await asyncpg.connect(self.url(database))
        await connection.execute(statement)
        await connection.close()


async def _filled(
    connection: asyncpg.Connection, table: str, fill: str, *parameters: object
) -> None:
    """Drop secondary indexes and create them again at the end, which is much faster."""
    indexes = await connection.fetch(SECONDARY, table)
    for index in indexes:
        await connection.execute(f'drop index "{index["indexname"]}"')
    await connection.execute(fill, *parameters)
    for index in indexes:
        await connection.execute(index["indexdef"])


@asynccontextmanager
async def durable_store() -> AsyncIterator[Store]:
    """A server with `fsync` and `synchronous_commit` on, on disk, deleted at the end."""
    with TemporaryDirectory(prefix="bench-") as folder:
        server = EmbeddedPostgres(
            data_dir=Path(folder), settings={"max_connections": 200, "shared_buffers": "256MB"}
        )
        server.start()
        try:
            yield Store(server)
        finally:
            server.stop()

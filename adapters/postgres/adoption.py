"""Compares an application's own table with ours, and links its rows to our users.

The server does all of it in one statement: it sorts and joins on disk if its memory does not
suffice, and a run that breaks off has written nothing.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from adapters.postgres.adoption_statements import (
    ALL,
    FIND_COLUMN,
    FIND_TABLE,
    LINK,
    REPORT,
    SETTINGS_OF_A_RUN,
    normalised,
)
from adapters.postgres.own_connection import Connection, own_connection
from adapters.postgres.servers import Servers
from adapters.postgres.session import qualified
from domain.adoption import Adoption, HostTable, Judged, UnfitTable, Verdict
from domain.errors import StorageUnavailable

ROWS_AT_ONCE = 1000

_NO_NAMES = (
    asyncpg.InvalidNameError,
    asyncpg.PostgresSyntaxError,
    asyncpg.FeatureNotSupportedError,
)
"""What `to_regclass` raises for text that does not name a table of this database."""


@dataclass(frozen=True, slots=True)
class _Quoted:
    """The application's table in SQL: names as the server quotes them.

    `name` is the table's in its links, without quotation marks: people write it there.
    """

    name: str
    table: str
    id: str
    external_id: str
    address: str
    verified: str

    def into(self, statement: str, schema: str | None) -> str:
        return qualified(statement, schema).format(
            table=self.table,
            id=self.id,
            external_id=self.external_id,
            address=self.address,
            verified=self.verified,
        )


class PostgresAdoption(Adoption):
    """The `adopted_users` table. It has a connection of its own, since a run may take minutes."""

    def __init__(self, dsn: str, schema: str | None = None) -> None:
        self._servers = Servers(dsn, schema)

    async def report(self, table: HostTable) -> Mapping[Verdict, int]:
        return await self._counted(REPORT, table)

    async def link(self, table: HostTable) -> Mapping[Verdict, int]:
        return await self._counted(LINK, table)

    async def judged(self, table: HostTable) -> AsyncIterator[Judged]:
        async with self._transaction() as connection:
            quoted = await _quoted(connection, table)
            statement = quoted.into(ALL, self._servers.schema)
            async for row in connection.cursor(statement, quoted.name, prefetch=ROWS_AT_ONCE):
                yield Judged(
                    verdict=Verdict(row["verdict"]), row_id=row["row_id"], clerk_id=row["clerk_id"]
                )

    async def _counted(self, statement: str, table: HostTable) -> Mapping[Verdict, int]:
        async with self._transaction() as connection:
            quoted = await _quoted(connection, table)
            text = quoted.into(statement, self._servers.schema)
            rows = await connection.fetch(text, quoted.name)
            return {Verdict(verdict): count for verdict, count in rows}

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with own_connection(self._servers) as connection:
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    for setting in SETTINGS_OF_A_RUN:
                        await connection.execute(setting)
                    yield connection
            except asyncpg.InsufficientPrivilegeError:
                words = (
                    "a right is missing on adopted_users, or row security hides rows of the table"
                )
                raise StorageUnavailable(f"{words}: see docs/guides/existing-database.md") from None


async def _quoted(connection: Connection, table: HostTable) -> _Quoted:
    found = await _table(connection, table.name)

    async def column(name: str) -> asyncpg.Record:
        there = await connection.fetchrow(FIND_COLUMN, found["oid"], name)
        if there is None:
            raise UnfitTable(f"{found['name']} has no column {name}")
        if not there["may_read"]:
            raise UnfitTable(f"the role lacks SELECT on {found['name']}")
        return there

    row_id = await column(table.id)
    external_id = await column(table.external_id) if table.external_id else row_id
    address = await column(table.email) if table.email else None
    return _Quoted(
        name=found["name"],
        table=found["quoted"],
        id=row_id["name"],
        external_id=external_id["name"],
        address=normalised(address["name"]) if address else "null::text",
        verified=_verified(table, await column(table.verified) if table.verified else None),
    )


async def _table(connection: Connection, name: str) -> asyncpg.Record:
    """Find a table by its name as it is stored, or as SQL writes it. Raises `UnfitTable`."""
    as_stored = ".".join('"{}"'.format(part.replace('"', '""')) for part in name.split("."))
    for text in (as_stored, name):
        try:
            async with connection.transaction():
                if found := await connection.fetchrow(FIND_TABLE, text):
                    return found
        except asyncpg.InsufficientPrivilegeError:
            raise UnfitTable(f"the role lacks USAGE on the schema of {name}") from None
        except _NO_NAMES:
            pass
    raise UnfitTable(f"there is no table or view {name}")


def _verified(table: HostTable, column: asyncpg.Record | None) -> str:
    """SQL: whether the application has verified the row's address."""
    if column is None:
        return "true" if table.all_verified else "false"
    if column["type"] == "boolean":
        return f"{column['name']}"
    if column["type"].startswith(("timestamp", "date")):
        return f"{column['name']} is not null"
    raise UnfitTable(f"{column['name']} is neither a boolean nor a time")

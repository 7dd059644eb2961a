"""How the store's schema stands to this release: by the tables that are there, and their version.

Alembic would know the version too, but its import takes half a second and 30 MB.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from adapters.postgres.columns import USER_COLUMNS
from adapters.postgres.database import Database
from adapters.postgres.relations import (
    HOST_VERSION_TABLE,
    RELATIONS,
    VERSION_TABLE,
    Found,
    found,
    look,
)
from adapters.postgres.session import Session
from domain.schema import SchemaState, Standing

VERSION = f"select version_num from our.{VERSION_TABLE}"  # noqa: S608


@cache
def head() -> str:
    """The newest revision, by the file names under `migrations/versions/`."""
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(file.name[:4] for file in versions.glob("[0-9]*.py"))


async def schema_state(database: Database) -> SchemaState:
    """How the schema stands now. Raises `StorageUnavailable`."""
    return await database.run(lambda session: _state(session, database.schema))


async def _state(session: Session, schema: str | None) -> SchemaState:
    there = found([dict(row) for row in await session.fetch(look(schema))])
    if not may_read_version(there):
        return judged(there, None)
    return judged(there, await session.fetchval(VERSION))


def may_read_version(there: Found) -> bool:
    return VERSION_TABLE in there.relations and not there.lacking[VERSION_TABLE]


def judged(there: Found, version: str | None) -> SchemaState:
    """The state by what is there and the version, which is None where it cannot be read."""
    if there.encoding != "UTF8":
        return _as(Standing.WRONG_ENCODING, there, [there.encoding])
    if there.foreign:
        return _as(Standing.IN_THE_WAY, there, there.foreign)
    if VERSION_TABLE in there.relations and there.lacking[VERSION_TABLE]:
        return _as(Standing.UNREADABLE, there, [VERSION_TABLE])
    if version is None:
        # An older release may have left the version in the host's table.
        could_be_old = HOST_VERSION_TABLE in there.relations or not there.tables
        return _as(Standing.BEHIND if could_be_old else Standing.INCOMPLETE, there, [VERSION_TABLE])
    return _judged_by_version(there, version)


def _judged_by_version(there: Found, version: str) -> SchemaState:
    if re.fullmatch("[0-9]{4}", version) is None:
        return _as(Standing.INCOMPLETE, there, [VERSION_TABLE])
    if missing := missing_at(version, there):
        return _as(Standing.INCOMPLETE, there, missing)
    if version == head():
        return _as(Standing.AT_HEAD, there)
    return _as(Standing.AHEAD if version > head() else Standing.BEHIND, there)


def missing_at(version: str, there: Found) -> list[str]:
    """The tables, or columns of `users`, that a schema of this version has and this one has not."""
    missing = [
        name
        for name, relation in RELATIONS.items()
        if relation.since <= version and name not in there.relations
    ]
    if version < head() or missing:
        return missing
    return [f"users.{name}" for name in USER_COLUMNS if name not in there.relations["users"]]


def _as(standing: Standing, there: Found, names: Iterable[str] = ()) -> SchemaState:
    return SchemaState(
        standing=standing,
        names=tuple(sorted(names)),
        role=there.role,
        lacking=there.rights_lacking,
    )

"""The state of the store's schema, judged by its tables and the version table.

Alembic could tell the version too, but its import takes half a second and 30 MB.
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
    Catalogue,
    catalogue_query,
    read_catalogue,
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
    """The state of the schema now. Raises `StorageUnavailable`."""
    return await database.run(lambda session: _state(session, database.schema))


async def _state(session: Session, schema: str | None) -> SchemaState:
    catalogue = read_catalogue(await session.fetch(catalogue_query(schema)))
    if not may_read_version(catalogue):
        return state_of(catalogue, None)
    return state_of(catalogue, await session.fetchval(VERSION))


def may_read_version(catalogue: Catalogue) -> bool:
    return VERSION_TABLE in catalogue.relations and not catalogue.lacking[VERSION_TABLE]


def state_of(catalogue: Catalogue, version: str | None) -> SchemaState:
    """The state of the schema. `version` is None if it cannot be read."""
    if catalogue.encoding != "UTF8":
        return _as(Standing.WRONG_ENCODING, catalogue, [catalogue.encoding])
    if catalogue.foreign:
        return _as(Standing.IN_THE_WAY, catalogue, catalogue.foreign)
    if VERSION_TABLE in catalogue.relations and catalogue.lacking[VERSION_TABLE]:
        return _as(Standing.UNREADABLE, catalogue, [VERSION_TABLE])
    if version is None:
        # An older release may have left the version in the host's table.
        could_be_old = HOST_VERSION_TABLE in catalogue.relations or not catalogue.tables
        return _as(
            Standing.BEHIND if could_be_old else Standing.INCOMPLETE, catalogue, [VERSION_TABLE]
        )
    return _state_at(catalogue, version)


def _state_at(catalogue: Catalogue, version: str) -> SchemaState:
    if re.fullmatch("[0-9]{4}", version) is None:
        return _as(Standing.INCOMPLETE, catalogue, [VERSION_TABLE])
    if missing := missing_at(version, catalogue):
        return _as(Standing.INCOMPLETE, catalogue, missing)
    if version == head():
        return _as(Standing.AT_HEAD, catalogue)
    return _as(Standing.AHEAD if version > head() else Standing.BEHIND, catalogue)


def missing_at(version: str, catalogue: Catalogue) -> list[str]:
    """The tables, or columns of `users`, that this version needs and the schema does not have."""
    missing = [
        name
        for name, relation in RELATIONS.items()
        if relation.since <= version and name not in catalogue.relations
    ]
    if version < head() or missing:
        return missing
    return [f"users.{name}" for name in USER_COLUMNS if name not in catalogue.relations["users"]]


def _as(standing: Standing, catalogue: Catalogue, names: Iterable[str] = ()) -> SchemaState:
    return SchemaState(
        standing=standing,
        names=tuple(sorted(names)),
        role=catalogue.role,
        lacking=catalogue.rights_lacking,
        is_read_only=catalogue.is_read_only,
    )

"""How the store's schema stands to this release: by the tables that are there, and their version.

Alembic would know the version too, but its import takes half a second and 30 MB.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from adapters.postgres.columns import USER_COLUMNS
from adapters.postgres.database import Database
from adapters.postgres.session import Session
from domain.schema import SchemaState, Standing

VERSION_TABLE = "clerk_user_sync_version"
"""Alembic's table of our revision. Its usual name, `alembic_version`, belongs to the host."""

HOST_VERSION_TABLE = "alembic_version"
"""Where releases before 0009 had the revision."""

VERSION = f"select version_num from our.{VERSION_TABLE}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view of ours: the revision that made it, the columns that tell it from others'
    (all of them as old as the table), and the rights that a serving role needs.
    """

    since: str
    columns: frozenset[str]
    rights: tuple[str, ...]


_READ, _WRITE = ("SELECT",), ("SELECT", "INSERT", "UPDATE")

RELATIONS: Mapping[str, Relation] = {
    "users": Relation(
        "0001",
        frozenset({"id", "clerk_id", "clerk_updated_at", "observed_at", "digest", "synced_by"}),
        _WRITE,
    ),
    "sync_journal": Relation(
        "0001",
        frozenset({"svix_id", "clerk_id", "source", "deliveries", "outcome", "body"}),
        (*_WRITE, "DELETE"),
    ),
    "sync_checkpoints": Relation(
        "0002", frozenset({"name", "cursor", "saved_at"}), (*_WRITE, "DELETE")
    ),
    "operator_actions": Relation(
        "0004", frozenset({"who", "action", "target", "detail", "result"}), _WRITE
    ),
    "users_live": Relation("0009", frozenset({"id", "clerk_id", "observed_at", "synced_by"}), ()),
}
"""Every table and view of ours but the version table."""

_VERSION_RELATIONS: Mapping[str, Relation] = {
    name: Relation("", frozenset({"version_num"}), _READ)
    for name in (VERSION_TABLE, HOST_VERSION_TABLE)
}

_NAMES = ", ".join(f"'{name}'" for name in (*RELATIONS, *_VERSION_RELATIONS))


@dataclass(frozen=True, slots=True)
class Found:
    """What the catalogues say. `relations` are ours, `foreign` are others' with the same names.

    `lacking` are the rights that the role does not have, by the name of the relation.
    """

    target: str | None
    target_exists: bool
    encoding: str
    role: str
    relations: Mapping[str, frozenset[str]]
    foreign: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]]

    @property
    def tables(self) -> set[str]:
        return set(RELATIONS) & set(self.relations)


def look(schema: str | None) -> str:
    """The statement that `found` reads. It has no parameters, so that every driver takes it.

    It reads catalogues only, so it needs no right to any table. One row at least.
    """
    given = f"'{schema}'" if schema else "null"
    return f"""
select facts.*, relation.*
from (
    select
        coalesce({given}, current_schema()) as target,
        exists (select from pg_namespace where nspname = {given}) as target_exists,
        current_setting('server_encoding') as encoding,
        current_user::text as role
) as facts
left join (
    select
        pg_namespace.nspname::text as schema,
        pg_class.relname::text as name,
        {given} is null and pg_table_is_visible(pg_class.oid) as is_visible,
        array(
            select attname::text from pg_attribute
            where attrelid = pg_class.oid and attnum > 0 and not attisdropped
        ) as columns,
        array(
            select wanted from unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as wanted
            where not has_table_privilege(pg_class.oid, wanted)
                or not has_schema_privilege(pg_namespace.oid, 'USAGE')
        ) as lacking
    from pg_class
    join pg_namespace on pg_namespace.oid = pg_class.relnamespace
    where pg_class.relname in ({_NAMES})
) as relation on relation.schema = facts.target or relation.is_visible
"""  # noqa: S608


def found(rows: Sequence[Mapping[str, Any]]) -> Found:
    """What the rows of `look` say."""
    known = {**RELATIONS, **_VERSION_RELATIONS}
    ours: dict[str, Mapping[str, Any]] = {}
    foreign: list[str] = []
    # The schema where we would make our tables comes first, as it does in the search path.
    for row in sorted(rows, key=lambda row: row["schema"] != row["target"]):
        name = row["name"]
        if name is None or name in ours or name in foreign:
            continue
        if known[name].columns <= set(row["columns"]):
            ours[name] = row
        elif row["schema"] == row["target"] and name != HOST_VERSION_TABLE:
            foreign.append(name)
    return Found(
        target=rows[0]["target"],
        target_exists=rows[0]["target_exists"],
        encoding=rows[0]["encoding"],
        role=rows[0]["role"],
        relations={name: frozenset(row["columns"]) for name, row in ours.items()},
        foreign=tuple(sorted(foreign)),
        lacking={
            name: tuple(right for right in known[name].rights if right in row["lacking"])
            for name, row in ours.items()
        },
    )


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
    lacking = [
        f"{right} on {name}"
        for name, rights in there.lacking.items()
        if name != HOST_VERSION_TABLE
        for right in rights
    ]
    return SchemaState(
        standing=standing, names=tuple(sorted(names)), role=there.role, lacking=tuple(lacking)
    )

"""Our tables and views, and what the database's catalogue says about them and the role's rights."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

VERSION_TABLE = "clerk_user_sync_version"
"""Alembic's table with our revision. Its default name, `alembic_version`, is left to the host."""

HOST_VERSION_TABLE = "alembic_version"
"""The table in which releases before revision 0009 kept our revision."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view of ours: the revision that created it, the columns that identify it (all of
    them as old as the table), and the rights that a serving role needs.
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
    "user_changes": Relation(
        "0010",
        frozenset({"clerk_id", "user_id", "kind", "changed", "source", "position"}),
        (*_WRITE, "DELETE"),
    ),
    "user_change_subscriptions": Relation(
        "0011",
        frozenset({"name", "position", "begins_after", "kinds", "holder", "held_until"}),
        (*_WRITE, "DELETE"),
    ),
    "user_changes_set_aside": Relation(
        "0011",
        frozenset({"subscription", "position", "clerk_id", "state", "attempts"}),
        (*_WRITE, "DELETE"),
    ),
    "console_sessions": Relation(
        "0012", frozenset({"key", "ground", "confirmed_at", "expires_at"}), (*_WRITE, "DELETE")
    ),
    "adopted_users": Relation(
        "0016", frozenset({"table_name", "row_id", "user_id", "matched_by"}), ("SELECT", "INSERT")
    ),
    "users_live": Relation("0009", frozenset({"id", "clerk_id", "observed_at", "synced_by"}), ()),
}
"""All our tables and views, without the version table."""

_VERSION_RELATIONS: Mapping[str, Relation] = {
    name: Relation("", frozenset({"version_num"}), _READ)
    for name in (VERSION_TABLE, HOST_VERSION_TABLE)
}

_NAMES = ", ".join(f"'{name}'" for name in (*RELATIONS, *_VERSION_RELATIONS))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the database's catalogue says. `target` is the schema where our tables are created.

    `relations` are the columns of our tables and views, by name. `users_in` is the schema of our
    `users`, if it is there. `foreign` are other applications' tables with the same names. `lacking`
    are the rights that the role does not have, by relation. `is_read_only` is about the session.
    """

    target: str | None
    target_exists: bool
    encoding: str
    role: str
    relations: Mapping[str, frozenset[str]]
    users_in: str | None
    foreign: tuple[str, ...]
    lacking: Mapping[str, tuple[str, ...]]
    is_read_only: bool

    @property
    def tables(self) -> set[str]:
        return set(RELATIONS) & set(self.relations)

    @property
    def rights_lacking(self) -> tuple[str, ...]:
        """The missing rights that serving needs, like `DELETE on sync_journal`."""
        return tuple(
            f"{right} on {name}"
            for name, rights in self.lacking.items()
            if name != HOST_VERSION_TABLE
            for right in rights
        )


def catalogue_query(schema: str | None) -> str:
    """The statement whose rows `read_catalogue` takes. It has no parameters, for use with any
    driver, and needs no right to any table. It returns at least one row.
    """
    given = f"'{schema}'" if schema else "null"
    return f"""
select facts.*, relation.*
from (
    select
        coalesce({given}, current_schema()) as target,
        exists (select from pg_namespace where nspname = {given}) as target_exists,
        current_setting('server_encoding') as encoding,
        current_user::text as role,
        current_setting('transaction_read_only') = 'on' as is_read_only
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


def read_catalogue(records: Iterable[Any]) -> Catalogue:
    """The rows of `catalogue_query`, of any driver, as one value."""
    rows: list[dict[str, Any]] = [dict(record) for record in records]
    known = {**RELATIONS, **_VERSION_RELATIONS}
    ours: dict[str, Mapping[str, Any]] = {}
    foreign: list[str] = []
    # The schema where our tables are created comes first, as in the search path.
    for row in sorted(rows, key=lambda row: row["schema"] != row["target"]):
        name = row["name"]
        if name is None or name in ours or name in foreign:
            continue
        if known[name].columns <= set(row["columns"]):
            ours[name] = row
        elif row["schema"] == row["target"] and name != HOST_VERSION_TABLE:
            foreign.append(name)
    return Catalogue(
        target=rows[0]["target"],
        target_exists=rows[0]["target_exists"],
        encoding=rows[0]["encoding"],
        role=rows[0]["role"],
        relations={name: frozenset(row["columns"]) for name, row in ours.items()},
        users_in=ours["users"]["schema"] if "users" in ours else None,
        foreign=tuple(sorted(foreign)),
        lacking={
            name: tuple(right for right in known[name].rights if right in row["lacking"])
            for name, row in ours.items()
        },
        is_read_only=rows[0]["is_read_only"],
    )

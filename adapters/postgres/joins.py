"""Our `users` table in a host's SQLAlchemy metadata, and kept out of its migrations."""

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.sql.schema import RETAIN_SCHEMA, SchemaItem

from adapters.postgres.relations import RELATIONS, VERSION_TABLE
from adapters.postgres.tables import UserRow

_OURS = "clerk_user_sync"
"""The key in a table's `info` by which `ignore_ours` recognises it."""


def users_table(metadata: MetaData, schema: str | None = None) -> Table:
    """Our `users` table in `metadata`, for foreign keys, ORM mapping and queries.

    `schema` is `DATABASE_SCHEMA`; without it, the metadata's schema. The table also has tombstones:
    rows whose `deleted_at` is set and whose personal columns are null. Read it, reference its `id`,
    and never write to it. A second call returns the same table.

    Raises `ValueError` if the metadata has another table of that name: then our tables need their
    own schema.
    """
    schema = schema or metadata.schema
    known = metadata.tables.get(f"{schema}.users" if schema else "users")
    if known is not None and _OURS not in known.info:
        raise ValueError("this metadata has a users table already: set DATABASE_SCHEMA for ours")
    if known is not None:
        return known
    table: Table = UserRow.metadata.tables["users"].to_metadata(
        metadata, schema=schema or RETAIN_SCHEMA
    )
    table.info[_OURS] = True
    return table


def ignore_ours(
    item: SchemaItem,
    name: str | None,
    type_: str,
    reflected: bool,  # noqa: FBT001 - Alembic's signature
    compare_to: SchemaItem | None,
) -> bool:
    """For Alembic's `include_object`: false for every table and view of ours.

    With it, `alembic revision --autogenerate` neither drops nor creates our tables. The columns
    tell our tables from the host's tables of the same name.
    """
    del reflected, compare_to
    if type_ != "table" or not isinstance(item, Table):
        return True
    if _OURS in item.info or name == VERSION_TABLE:
        return False
    relation = RELATIONS.get(name or "")
    return relation is None or not relation.columns <= {_name(one) for one in item.columns}


def _name(column: Column[object]) -> str:
    return str(column.name)

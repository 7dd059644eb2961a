"""Our `users` table in an application's own SQLAlchemy metadata, and out of its migrations."""

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.sql.schema import RETAIN_SCHEMA, SchemaItem

from adapters.postgres.relations import RELATIONS, VERSION_TABLE
from adapters.postgres.tables import UserRow

_OURS = "clerk_user_sync"
"""The key in a table's `info` by which `ignore_ours` knows it again."""


def users_table(metadata: MetaData, schema: str | None = None) -> Table:
    """Our `users` table in `metadata`, for foreign keys, ORM mapping and queries.

    `schema` is `DATABASE_SCHEMA`; without it, the metadata's own. The table holds tombstones too:
    rows whose `deleted_at` is set and whose personal columns are null. Read it, reference its `id`,
    and never write to it. A second call gives the same table.

    Raises `ValueError` where the metadata has another table of that name: then our tables need a
    schema of their own.
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
    reflected: bool,  # noqa: FBT001 - Alembic calls it so
    compare_to: SchemaItem | None,
) -> bool:
    """For Alembic's `include_object`: false for every table and view of ours.

    So `alembic revision --autogenerate` neither drops our tables nor makes them. A table of the
    application's own with the same name is told from ours by its columns.
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

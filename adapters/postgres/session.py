"""A connection for our statements, which name each table as `our.users`.

`our.` is replaced by the schema of `DATABASE_SCHEMA`, or by nothing if the role's `search_path`
decides. The name is put into the text because a pooler in transaction mode keeps no `search_path`.
"""

import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

_OURS = re.compile(r"\bour\.")


@lru_cache(maxsize=512)
def qualified(statement: str, schema: str | None) -> str:
    """The statement with the schema's name in it."""
    name = '"{}".'.format(schema.replace('"', '""')) if schema else ""
    return _OURS.sub(lambda _: name, statement)


class Session:
    """The methods of `asyncpg.Connection` that we use, with our tables in `schema`."""

    __slots__ = ("_connection", "_schema")

    def __init__(
        self,
        connection: "PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]",
        schema: str | None,
    ) -> None:
        self._connection = connection
        self._schema = schema

    def fetch(self, statement: str, *parameters: Any) -> Awaitable[list[asyncpg.Record]]:
        return self._connection.fetch(qualified(statement, self._schema), *parameters)

    def fetchrow(self, statement: str, *parameters: Any) -> Awaitable[asyncpg.Record | None]:
        return self._connection.fetchrow(qualified(statement, self._schema), *parameters)

    def fetchval(self, statement: str, *parameters: Any) -> Awaitable[Any]:
        return self._connection.fetchval(qualified(statement, self._schema), *parameters)

    def execute(self, statement: str, *parameters: Any) -> Awaitable[str]:
        return self._connection.execute(qualified(statement, self._schema), *parameters)

    def transaction(self) -> Transaction:
        # Statements after a lock must see what its last holder committed, whatever the default is.
        return self._connection.transaction(isolation="read_committed")

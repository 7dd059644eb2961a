"""Actions of an operator that a test confirms, and their rows on the audit trail."""

from typing import Any

from tests.console.visitors import Visitor
from tests.e2e.processes import eventually
from tests.postgres_server import Sql

TRAIL = (
    "select who, action, target, result from operator_actions where action <> 'sign in' order by id"
)

A_MISSED_WEBHOOK = """
update users set clerk_updated_at = clerk_updated_at - interval '1 h',
    observed_at = observed_at - interval '1 h'
"""
"""Clerk's version is an hour newer, and the contents are the same."""


async def trail(sql: Sql) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await sql.fetch(TRAIL)]


async def ended(sql: Sql) -> bool:
    return bool(await sql.fetchval("select bool_and(result is not null) from operator_actions"))


async def run(operator: Visitor, sql: Sql, path: str, **changes: str) -> None:
    """Confirm a long action, and wait until it has ended."""
    assert (await operator.confirm(path, **changes)).status_code == 303
    await eventually(lambda: ended(sql))

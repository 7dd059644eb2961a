"""The audit trail of operators' actions."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson

from adapters.postgres.console_statements import (
    ACTIONS_ABOUT,
    BEGIN_ACTION,
    END_ACTION,
    LAST_ACTION_OF,
    LATEST_ACTIONS,
    PROGRESS_OF_ACTION,
)
from adapters.postgres.database import Database
from adapters.postgres.journal_statements import HIGHEST
from domain.console import ACTIONS_ON_A_PAGE, AuditTrail, OperatorAction


class PostgresAuditTrail(AuditTrail):
    """The `operator_actions` table: one row for each action. No row is ever deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, *, who: str, action: str, target: str | None, detail: Mapping[str, Any]
    ) -> int:
        action_id: int = await self._database.run(
            lambda session: session.fetchval(BEGIN_ACTION, who, action, target, _json(detail))
        )
        return action_id

    async def progress(self, action_id: int, detail: Mapping[str, Any]) -> None:
        await self._database.run(
            lambda session: session.execute(PROGRESS_OF_ACTION, action_id, _json(detail))
        )

    async def end(self, action_id: int, *, result: str, detail: Mapping[str, Any]) -> None:
        await self._database.run(
            lambda session: session.execute(END_ACTION, action_id, _json(detail), result)
        )

    async def latest(self, *, before: int | None = None) -> tuple[OperatorAction, ...]:
        records = await self._database.run(
            lambda session: session.fetch(LATEST_ACTIONS, before or HIGHEST, ACTIONS_ON_A_PAGE)
        )
        return tuple(map(_action, records))

    async def last_of(self, *actions: str) -> OperatorAction | None:
        record = await self._database.run(
            lambda session: session.fetchrow(LAST_ACTION_OF, list(actions))
        )
        return None if record is None else _action(record)

    async def about(self, target: str) -> tuple[OperatorAction, ...]:
        records = await self._database.run(
            lambda session: session.fetch(ACTIONS_ABOUT, target, ACTIONS_ON_A_PAGE)
        )
        return tuple(map(_action, records))


def _json(detail: Mapping[str, Any]) -> str:
    return orjson.dumps(dict(detail)).decode()


def _action(record: asyncpg.Record) -> OperatorAction:
    return OperatorAction(**{**record, "detail": orjson.loads(record["detail"])})

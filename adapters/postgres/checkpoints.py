"""Values that are kept between runs."""

from datetime import timedelta

from adapters.postgres.database import Database
from domain.ports import Checkpoints

LOAD = "select cursor from our.sync_checkpoints where name = $1"

SAVE = """
insert into our.sync_checkpoints (name, cursor) values ($1, $2)
on conflict (name) do update set cursor = excluded.cursor, saved_at = now()
"""

# The update changes nothing. Without it a cursor that is there already would not be returned.
SAVE_FIRST = """
insert into our.sync_checkpoints as stored (name, cursor) values ($1, $2)
on conflict (name) do update set cursor = stored.cursor
returning cursor
"""

AGE = "select now() - saved_at from our.sync_checkpoints where name = $1"

CLEAR = "delete from our.sync_checkpoints where name = $1"


class PostgresCheckpoints(Checkpoints):
    """The `sync_checkpoints` table: one row for each name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, name: str) -> str | None:
        value: str | None = await self._database.run(lambda session: session.fetchval(LOAD, name))
        return value

    async def save(self, name: str, value: str) -> None:
        await self._database.run(lambda session: session.execute(SAVE, name, value))

    async def save_first(self, name: str, value: str) -> str:
        saved: str = await self._database.run(
            lambda session: session.fetchval(SAVE_FIRST, name, value)
        )
        return saved

    async def clear(self, name: str) -> None:
        await self._database.run(lambda session: session.execute(CLEAR, name))

    async def age(self, name: str) -> timedelta | None:
        age: timedelta | None = await self._database.run(
            lambda session: session.fetchval(AGE, name)
        )
        return age

"""Sign-ins at the console: the `console_sessions` table."""

from datetime import timedelta

from adapters.postgres.database import Database
from domain.console import ConsoleSession, ConsoleSessions
from domain.user import UserId

_OPEN = """
with expired as (delete from our.console_sessions where expires_at <= now())
insert into our.console_sessions
    (key, ground, clerk_id, clerk_session_id, confirmed_at, expires_at)
values ($1, $2, $3, $4, now() - $5::interval, now() + $6::interval)
on conflict (key) do nothing  -- the first try, whose answer was lost
"""

_FIND = """
select key, ground, clerk_id as user_id, clerk_session_id, now() - confirmed_at as confirmed_ago
from our.console_sessions
where key = $1 and expires_at > now()
"""

_CONFIRM = """
update our.console_sessions set confirmed_at = greatest(confirmed_at, now() - $2::interval)
where key = $1
"""

_END = "delete from our.console_sessions where key = $1"

_END_ALL_OF = "delete from our.console_sessions where clerk_id = $1"


class PostgresConsoleSessions(ConsoleSessions):
    """One row a sign-in. The table holds the hash of a cookie, never the cookie."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, session: ConsoleSession, lifetime: timedelta) -> None:
        ids = (session.key, session.ground, session.user_id, session.clerk_session_id)
        times = (session.confirmed_ago, lifetime)
        await self._database.run(lambda connection: connection.execute(_OPEN, *ids, *times))

    async def find(self, key: bytes) -> ConsoleSession | None:
        record = await self._database.run(lambda connection: connection.fetchrow(_FIND, key))
        return None if record is None else ConsoleSession(**record)

    async def confirm(self, key: bytes, ago: timedelta) -> None:
        await self._database.run(lambda connection: connection.execute(_CONFIRM, key, ago))

    async def end(self, key: bytes) -> None:
        await self._database.run(lambda connection: connection.execute(_END, key))

    async def end_all_of(self, user_id: UserId) -> None:
        await self._database.run(lambda connection: connection.execute(_END_ALL_OF, user_id))

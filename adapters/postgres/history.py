"""A mark in the store, which shows that the store is a copy, or went back to an earlier state.

The mark is a row that holds the id of the transaction that wrote it, as its system column `xmin`
does, and the ids of database and table. Restoring a dump writes that row in another transaction.
Recovery to a point in time, or a standby that takes over, begins another timeline. A copy of the
server's files has the same mark: only a process that has seen newer entries notices it.
"""

import asyncio
from contextlib import suppress

from adapters.postgres.change_statements import MOVE_POSITIONS, NUMBERING_ALONE
from adapters.postgres.database import Database
from adapters.postgres.open_transaction import NO_TIMEOUT, setting
from adapters.postgres.own_connection import own_connection
from adapters.postgres.session import Session
from domain.errors import StorageUnavailable, Unstorable
from domain.history import HistoryLook, StoreHistory
from domain.reconcile import LAST_FULL

MARK = "store.mark"
NOTICED = "store.went_back"
"""The checkpoints that hold the mark, and why the store is not the one that was marked."""

COPIED = "its rows were copied from a dump or another database"
RECOVERED = "it was recovered to a point in time, or a standby took over"
OLDER = "its newest journal entry is older than one that this process has seen"

_HERE = """(select oid from pg_database where datname = current_database()),
    'our.users'::regclass::oid"""

WRITE_MARK = f"""
insert into our.sync_checkpoints (name, cursor)
values ($1, concat_ws('/', pg_current_xact_id()::text::numeric % 4294967296, {_HERE}, $2::text))
on conflict (name) do update set cursor = excluded.cursor, saved_at = now()
"""  # noqa: S608

READ_MARK = f"""
select
    (select cursor from our.sync_checkpoints where name = $1) as marked,
    (select concat_ws('/', xmin::text, {_HERE}) from our.sync_checkpoints where name = $1) as found,
    (select max(id) from our.sync_journal) as newest
"""  # noqa: S608

NOTE = """
insert into our.sync_checkpoints (name, cursor) values ($1, $2)
on conflict (name) do update set cursor = excluded.cursor, saved_at = now()
"""

UNREPAIRED = """
select noticed.cursor
from our.sync_checkpoints as noticed
left join our.sync_checkpoints as repair on repair.name = $2
where noticed.name = $1 and (repair.saved_at is null or repair.saved_at < noticed.saved_at)
"""

LONGEST_MOVE = 3600.0
"""Seconds. Millions of positions take minutes; only a network that died takes so long."""

TIMELINE = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)"


class PostgresHistory(StoreHistory):
    """The mark in `sync_checkpoints`, and the newest journal entry that this process has seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._newest = 0
        self._looking = asyncio.Lock()

    async def look(self) -> HistoryLook:
        async with self._looking:  # so that none is compared with a newer one
            return await self._look()

    async def _look(self) -> HistoryLook:
        row = await self._database.run(lambda session: session.fetchrow(READ_MARK, MARK))
        marked, found, newest = row or (None, None, None)
        timeline = await self._timeline()
        went_back = newest is not None and newest < self._newest
        self._newest = self._newest if newest is None else newest
        if marked is None:
            return HistoryLook(is_marked=False, reason=OLDER if went_back else None)
        if not _is_original(marked, found):
            return HistoryLook(is_marked=True, reason=COPIED)
        marked_timeline = marked.rpartition("/")[2]
        if timeline != marked_timeline and "" not in (timeline, marked_timeline):
            return HistoryLook(is_marked=True, reason=RECOVERED)
        # Without a timeline, since the server did not tell it then, the mark is not a whole one.
        is_marked = marked_timeline != "" or timeline == ""
        return HistoryLook(is_marked=is_marked, reason=OLDER if went_back else None)

    async def mark(self) -> None:
        timeline = await self._timeline()
        await self._database.run(lambda session: session.execute(WRITE_MARK, MARK, timeline))

    async def note(self, reason: str) -> None:
        timeline = await self._timeline()

        async def note(session: Session) -> None:
            async with session.transaction():
                await session.execute(NOTE, NOTICED, reason)
                await session.execute(WRITE_MARK, MARK, timeline)

        await (self._note_copy(timeline) if reason == COPIED else self._database.run(note))

    async def _note_copy(self, timeline: str) -> None:
        """Move the positions too, unless another process has done it since we looked."""
        database = self._database
        async with own_connection(database.servers, LONGEST_MOVE) as connection:
            session = Session(connection, database.schema)
            # Without a rollback: on a network that died, that would wait as long again.
            await session.execute("begin isolation level read committed")
            await session.execute(setting(NO_TIMEOUT))
            await session.execute(NUMBERING_ALONE)
            marked, found, _ = await session.fetchrow(READ_MARK, MARK) or (None, None, None)
            if marked is None or not _is_original(marked, found):
                await session.execute(NOTE, NOTICED, COPIED)
                await session.execute(WRITE_MARK, MARK, timeline)
                await session.execute(MOVE_POSITIONS)
                await session.execute("commit")

    async def unrepaired(self) -> str | None:
        reason: str | None = await self._database.run(
            lambda session: session.fetchval(UNREPAIRED, NOTICED, LAST_FULL)
        )
        return reason

    async def _timeline(self) -> str:
        """Empty if the server does not tell it, as some managed servers do not."""
        with suppress(StorageUnavailable, Unstorable):
            timeline: str | None = await self._database.run(
                lambda session: session.fetchval(TIMELINE)
            )
            return timeline or ""
        return ""


def _is_original(marked: str, found: str | None) -> bool:
    """Whether the row of the mark is still the one that was written, in its own table."""
    return marked.rpartition("/")[0] == found

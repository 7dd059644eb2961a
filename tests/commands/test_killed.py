"""`kill -9` at every page of a run: while it is fetched, written, and before the cursor is saved."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest

from domain.backfill import CHECKPOINT
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.services import Operations
from tests.commands.scenes import drift, ids_of, run_backfill, spoil
from tests.commands.terminal import Terminal, ended
from tests.e2e.locks import somebody_waits
from tests.e2e.processes import eventually
from tests.postgres_server import Sql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = 500
PAGES = 12
USERS = PAGE * (PAGES - 1) + 3
SOME = 6 * PAGE

CLAIM_USER = """
insert into users (clerk_id, deleted_at, synced_by) values ($1, now(), 'webhook')
on conflict (clerk_id) do update set clerk_id = excluded.clerk_id
"""
CLAIM_CURSOR = """
insert into sync_checkpoints (name, cursor) values ($1, 'nowhere')
on conflict (name) do update set cursor = excluded.cursor
"""
END_WHO_WAITS = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and application_name = 'clerk-user-sync'
    and wait_event_type = 'Lock'
"""


@dataclass(frozen=True)
class Killing:
    """Runs a command to a point, and kills it there."""

    clerk: ClerkEmulator
    terminal: Terminal
    sql: Sql
    store_url: str
    arguments: tuple[str, ...]

    async def while_asking(
        self, operation: str, answered: int, *, ready: Callable[[], Awaitable[bool]]
    ) -> None:
        """Kill it while it waits for Clerk, which answers only a number of calls."""
        if answered:
            self._fault(FaultKind.SLOW, operation, answered)
        self._fault(FaultKind.HOLD, operation, 1)

        async def held() -> bool:
            return not self.clerk.faults.report() and await ready()

        await self._when(held)
        self.clerk.faults.clear()

    async def while_writing(self, statement: str, key: str) -> None:
        """While its statement waits for a row that another writer has in hand.

        The statement ends with it: nothing of it is committed.
        """
        async with in_hand(self.store_url, statement, key):
            await self._when(lambda: somebody_waits(self.sql))
            await self.sql.execute(END_WHO_WAITS)

    async def _when(self, reached: Callable[[], Awaitable[bool]]) -> None:
        process = await self.terminal.start(*self.arguments)
        await eventually(reached, 60)
        process.send_signal(signal.SIGKILL)
        assert (await ended(process)).code == -signal.SIGKILL

    def _fault(self, kind: FaultKind, operation: str, times: int) -> None:
        self.clerk.faults.add(ApiFault(kind=kind, on=operation, times=times))


@asynccontextmanager
async def in_hand(url: str, statement: str, key: str) -> AsyncIterator[None]:
    """Lock that row during the block, and roll back at the end."""
    other: Sql = await asyncpg.connect(url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(statement, key)
    yield
    await transaction.rollback()
    await other.close()


async def test_a_backfill_killed_at_every_page_loses_none_and_repeats_at_most_one(
    clerk: ClerkEmulator, terminal: Terminal, sql: Sql, store_url: str
) -> None:
    clerk.create_users(USERS)
    people = ids_of(clerk)
    killing = Killing(clerk, terminal, sql, store_url, ("backfill",))
    for page in range(PAGES):

        async def all_before_are_noted(page: int = page) -> bool:
            return await noted(sql, people) == page

        answered = page - await noted(sql, people)
        await killing.while_asking("GetUserList", answered, ready=all_before_are_noted)
        assert (await written(sql), await noted(sql, people)) == (page, page)
        await killing.while_writing(CLAIM_USER, people[PAGE * page])
        # The other half of the page may have been written already; it is repeated with this one.
        assert await written(sql) in (page, page + 1)
        assert await noted(sql, people) == page
        assert await missing_before(sql, people, PAGE * page) == 0
        await killing.while_writing(CLAIM_CURSOR, CHECKPOINT)
        assert (await written(sql), await noted(sql, people)) == (page + 1, page)
    again = await terminal.run("backfill", "--json")
    assert (again.code, again.outcomes) == (0, {"unchanged": 3})
    assert await drift(clerk, sql) == {}


async def test_a_repair_killed_at_every_page_ends_like_an_uninterrupted_one(
    clerk: ClerkEmulator, terminal: Terminal, available: Operations, sql: Sql, store_url: str
) -> None:
    clerk.create_users(SOME)
    await run_backfill(available)
    await spoil(clerk, sql, SOME)
    people = [user.id for user in sorted(clerk.users, key=lambda user: user.created_at)]
    repair = ("reconcile", "--full", "--repair")
    killing = Killing(clerk, terminal, sql, store_url, repair)

    async def at_once() -> bool:
        return True

    for page in range(len(people) // PAGE):
        await killing.while_asking("GetUserList", page, ready=at_once)
        wrong = set(await drift(clerk, sql))
        drifting = [one for one in people[PAGE * page :][:PAGE] if one in wrong]
        await killing.while_writing(CLAIM_USER, drifting[-1])
    await killing.while_asking("GetUser", 0, ready=at_once)
    again = await terminal.run(*repair, "--json")
    assert (again.code, again.records[-1]["drift_left"]) == (0, 0)
    assert await drift(clerk, sql) == {}


async def written(sql: Sql) -> int:
    """The number of pages, including the last one."""
    users: int = await sql.fetchval("select count(*) from users")
    return -(-users // PAGE)


async def noted(sql: Sql, people: list[str]) -> int:
    """The number of pages before the saved cursor."""
    query = "select cursor from sync_checkpoints where name = $1"
    cursor: str | None = await sql.fetchval(query, CHECKPOINT)
    return -(-(people.index(cursor) + 1) // PAGE) if cursor else 0


async def missing_before(sql: Sql, people: list[str], end: int) -> int:
    """The users among the first `end` that have no row."""
    query = "select count(*) from users where clerk_id = any ($1)"
    there: int = await sql.fetchval(query, people[:end])
    return end - there

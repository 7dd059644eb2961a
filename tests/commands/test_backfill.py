"""All users are copied, from any state of the table and after any number of interruptions."""

import signal
from dataclasses import replace
from typing import Any

import pytest

from domain.backfill import CHECKPOINT
from domain.errors import WrongInstance
from domain.sync_user import SyncResult, SyncUser
from domain.user import Source, UserId
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.services import Operations
from tests.commands.scenes import (
    UsersInTheMiddle,
    backfill_of,
    contents,
    drift,
    ids_of,
    run_backfill,
    versions,
)
from tests.commands.terminal import Terminal, ended
from tests.e2e.processes import eventually
from tests.postgres_server import Sql

USERS = 1203
PAGES = 3


class Interrupted(Exception):
    """An error that ends a run."""


class EndsAfter(UsersInTheMiddle):
    """Writes a number of pages, and then fails before or after the next commit."""

    def __init__(self, available: Operations, pages: int, *, committed: bool) -> None:
        super().__init__(available.store.users)
        self.pages = pages
        self.committed = committed

    async def sync_many(self, commands: Any) -> list[SyncResult | None]:
        self.pages -= 1
        if self.pages >= 0:
            return await super().sync_many(commands)
        if self.committed:
            await super().sync_many(commands)
        raise Interrupted


async def test_every_user_comes_in_as_clerk_has_them(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(USERS)
    assert await run_backfill(available) == ["created"] * USERS
    assert await drift(clerk, sql) == {}


async def test_a_second_run_changes_nothing(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(USERS)
    await run_backfill(available)
    before = await versions(sql)
    assert await run_backfill(available) == ["unchanged"] * USERS
    assert await versions(sql) == before


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("pages", range(PAGES))
async def test_a_run_that_was_ended_is_taken_up_where_it_stopped(
    clerk: ClerkEmulator,
    available: Operations,
    sql: Sql,
    pages: int,
    committed: bool,
) -> None:
    clerk.create_users(USERS)
    ending = EndsAfter(available, pages, committed=committed)
    with pytest.raises(Interrupted):
        await backfill_of(available, users=ending).run(lambda _outcomes, _left_out: None)
    assert len(await run_backfill(available)) == USERS - 500 * pages
    assert await drift(clerk, sql) == {}


async def test_after_a_complete_run_the_next_begins_with_the_first_user(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(3)
    await run_backfill(available)
    assert await available.store.checkpoints.load(CHECKPOINT) is None


async def test_a_run_resumed_at_a_deleted_user_starts_over(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(USERS)
    gone = ids_of(clerk)[499]
    await available.store.checkpoints.save(CHECKPOINT, gone)
    clerk.delete_user(gone)
    assert len(await run_backfill(available)) == USERS - 1
    assert await drift(clerk, sql) == {}


async def test_a_restart_forgets_where_the_last_run_stopped(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(3)
    await available.store.checkpoints.save(CHECKPOINT, ids_of(clerk)[1])
    await backfill_of(available).restart()
    assert len(await run_backfill(available)) == 3


async def test_a_clerk_without_cursors_is_read_all_the_same(
    available: Operations, clerk: ClerkEmulator, sql: Sql
) -> None:
    clerk.create_users(USERS)
    clerk.config = replace(clerk.config, starting_after=False)
    await run_backfill(available)
    assert await drift(clerk, sql) == {}


async def test_a_preview_says_what_would_happen_and_writes_nothing(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(2)
    await run_backfill(available)
    clerk.create_users(1)
    clerk.update_user(ids_of(clerk)[0], first_name="Newer")
    before = await contents(sql)
    foreseen: list[str] = []
    await backfill_of(available).preview(lambda page, _: foreseen.extend(page))
    assert sorted(foreseen) == ["created", "unchanged", "updated"]
    assert await contents(sql) == before


async def test_the_next_page_is_fetched_while_one_is_written(
    clerk: ClerkEmulator, available: Operations
) -> None:
    clerk.create_users(USERS)
    listed: list[int] = []

    class Watches(UsersInTheMiddle):
        async def sync_many(self, commands: Any) -> list[SyncResult | None]:
            pages = len(listed) + 2
            await eventually(lambda: clerk.calls.count("GetUserList") >= min(pages, PAGES))
            listed.append(clerk.calls.count("GetUserList"))
            return await super().sync_many(commands)

    await backfill_of(available, users=Watches(available.store.users)).run(
        lambda _outcomes, _left_out: None
    )
    assert listed == [2, 3, 3]


async def test_a_page_older_than_the_row_does_not_overwrite_it(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    updated, deleted, created = ids_of(clerk)

    class LiveTraffic(UsersInTheMiddle):
        async def sync_many(self, commands: Any) -> list[SyncResult | None]:
            clerk.update_user(updated, first_name="Newer")
            newer = await available.clerk.bulk.fetch(UserId(updated))
            assert newer is not None
            await self.sync(SyncUser(change=newer, source=Source.WEBHOOK))
            await sql.execute(
                "insert into users (clerk_id, deleted_at, synced_by) values ($1, now(), 'webhook')",
                deleted,
            )
            clerk.delete_user(deleted)
            return await super().sync_many(commands)

    outcomes: list[str] = []
    await backfill_of(available, users=LiveTraffic(available.store.users)).run(
        lambda page, _: outcomes.extend(page)
    )
    assert outcomes == ["stale", "gone", "created"]
    assert await drift(clerk, sql) == {}
    assert await sql.fetchval("select deleted_at from users where clerk_id = $1", created) is None


async def test_with_calls_refused_it_waits_and_finishes(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(USERS)
    clerk.faults.add(
        ApiFault(kind=FaultKind.RATE_LIMIT, on="GetUserList", times=1, retry_after="1")
    )
    await run_backfill(available)
    assert clerk.calls.count("GetUserList", 429) == 1
    assert await drift(clerk, sql) == {}


async def test_a_user_the_store_refuses_does_not_keep_the_others_out(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    refused = ids_of(clerk)[1]
    await sql.execute(
        f"alter table users add constraint for_a_test check (clerk_id <> '{refused}')"
    )
    try:
        assert await run_backfill(available) == ["created", "failed", "created"]
    finally:
        await sql.execute("alter table users drop constraint for_a_test")


async def test_nothing_is_read_of_another_instance(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_users(3)
    with pytest.raises(WrongInstance):
        await backfill_of(available, instance_id="ins_another").run(
            lambda _outcomes, _left_out: None
        )
    assert await sql.fetchval("select count(*) from users") == 0


async def test_ctrl_c_saves_and_ends_with_130(
    clerk: ClerkEmulator, terminal: Terminal, sql: Sql
) -> None:
    """Clerk holds the third page back, so that the run cannot end before."""
    clerk.create_users(USERS)
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUserList", times=PAGES - 1))
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUserList"))
    process = await terminal.start("backfill", "--json")
    await some_page_is_written(sql)
    process.send_signal(signal.SIGINT)
    stopped = await ended(process)
    clerk.faults.clear()
    assert (stopped.code, stopped.records[-1]["exit_code"]) == (130, 130)
    assert stopped.stderr == (
        "Stopped. Every page written is saved; the same command resumes there.\n"
    )
    assert await sql.fetchval("select cursor from sync_checkpoints where name = $1", CHECKPOINT)


async def some_page_is_written(sql: Sql) -> None:
    async def is_written() -> bool:
        return bool(
            await sql.fetchval("select cursor from sync_checkpoints where name = $1", CHECKPOINT)
        )

    await eventually(is_written)

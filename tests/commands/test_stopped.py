"""Ctrl-C: the command ends with 130, and says what is done and how to continue."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.database import Database
from adapters.postgres.upgrade import LOCK
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.commands.arrivals import happened, line, quarantined
from tests.commands.scenes import ids_of, run_backfill
from tests.commands.terminal import Ended, Terminal, ended
from tests.e2e.locks import row_locked, somebody_waits
from tests.e2e.processes import eventually
from tests.postgres_server import Sql

pytestmark = pytest.mark.slow

STARTS_OVER = (
    "Stopped. Replayed deliveries are saved; the same command starts over, "
    "and replaying twice is harmless.\n"
)
NAME_OF_ADA = f"select first_name from users where clerk_id = '{ADA}'"
WAITING_FOR_THE_LOCK = """
select count(*) from pg_stat_activity where datname = current_database() and query = 'rollback'
"""
OTHER = webhook_bytes("user.created").replace(ADA.encode(), b"user_other")


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    """The recorded deliveries are of another instance than the emulator."""
    return terminal.told(CLERK_INSTANCE_ID=None)


async def stopped(process: Process) -> Ended:
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        return await ended(process)


async def test_a_stopped_replay_of_the_journal_shows_its_counts_and_can_be_repeated(
    terminal: Terminal, database: Database, sql: Sql, store_url: str
) -> None:
    await happened(database, "user.created")
    await quarantined(database, OTHER, svix_id="msg_other")
    await quarantined(database, webhook_bytes("user.updated"), svix_id="msg_last")
    arguments = ("journal", "--status", "quarantined", "--json")
    async with row_locked(store_url, ADA):
        process = await terminal.start(*arguments)
        await eventually(lambda: somebody_waits(sql), 30)
        told = await stopped(process)
    assert (told.code, told.outcomes, told.stderr) == (130, {"created": 1}, STARTS_OVER)
    again = await terminal.run(*arguments)
    # The statement in flight may have been committed.
    assert (again.code, again.outcomes in ({"updated": 1}, {})) == (0, True)
    assert await sql.fetchval(NAME_OF_ADA) == "Augusta Ada"


async def test_a_stopped_replay_of_a_file_shows_its_counts_and_can_be_repeated(
    terminal: Terminal,
    database: Database,
    sql: Sql,
    store_url: str,
    tmp_path: Path,
) -> None:
    await happened(database, "user.created", svix_id="msg_user_created")
    path = tmp_path / "deliveries.jsonl"
    other = line("user.created", svix_id="msg_other", body=OTHER.decode())
    path.write_bytes(other + line("user.updated"))
    async with row_locked(store_url, ADA):
        process = await terminal.start("file", str(path), "--json")
        await eventually(lambda: somebody_waits(sql), 30)
        told = await stopped(process)
    assert (told.code, told.outcomes, told.stderr) == (130, {"created": 1}, STARTS_OVER)
    again = await terminal.run("file", str(path), "--json")
    assert again.code == 0
    assert again.outcomes in ({"unchanged": 1, "updated": 1}, {"unchanged": 2})
    assert await sql.fetchval(NAME_OF_ADA) == "Augusta Ada"


async def test_one_ctrl_c_is_enough_while_it_waits_for_a_line(terminal: Terminal, sql: Sql) -> None:
    process = await terminal.start("file", "-", "--json")
    assert process.stdin is not None
    process.stdin.write(line())

    async def replayed() -> bool:
        return bool(await sql.fetchval("select count(*) from users"))

    await eventually(replayed, 30)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        code = await process.wait()
    process.stdin.close()
    told = await ended(process)
    assert (code, told.outcomes, told.stderr) == (130, {"created": 1}, STARTS_OVER)


@pytest.mark.parametrize("command", ["file", "export"])
async def test_one_ctrl_c_is_enough_while_it_opens_a_pipe(
    terminal: Terminal, tmp_path: Path, command: str
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = await terminal.start(command, str(pipe))
    await eventually(lambda: _waits_in(process) == "wait_for_partner", 30)
    assert (await stopped(process)).code == 130


async def test_one_ctrl_c_is_enough_while_it_passes_over_lines(
    terminal: Terminal, tmp_path: Path
) -> None:
    path = tmp_path / "deliveries.jsonl"
    path.write_bytes(line("session.created") * 20_000)
    process = await terminal.start("file", str(path), "--json", "--yes")
    assert process.stdout is not None
    # More than a pipe holds: the command writes no faster than we read.
    await process.stdout.readline()
    told = await stopped(process)
    assert (told.code, told.stdout.count("\n") < 19_000) == (130, True)


async def test_a_stopped_repair_says_that_it_starts_over(
    clerk: ClerkEmulator, terminal: Terminal, available: Any, sql: Sql
) -> None:
    clerk.create_users(501)
    await run_backfill(available)
    clerk.update_user(ids_of(clerk)[0], first_name="Newer")
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUserList", times=1))
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUserList"))
    process = await terminal.start("reconcile", "--full", "--repair", "--json")

    async def repaired() -> bool:
        return bool(await sql.fetchval("select true from users where first_name = 'Newer'"))

    await eventually(repaired, 30)
    told = await stopped(process)
    assert (told.code, told.outcomes) == (130, {"updated": 1})
    assert told.stderr == (
        "Stopped. Repaired rows stay repaired; the same command starts over and finds the rest.\n"
    )


async def test_a_dry_run_says_that_nothing_was_written(
    clerk: ClerkEmulator, terminal: Terminal
) -> None:
    clerk.create_users(1)
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUsersCount"))
    process = await terminal.start("backfill", "--dry-run")

    async def asked() -> bool:
        return clerk.calls.peak("GetUsersCount") > 0

    await eventually(asked, 30)
    told = await stopped(process)
    assert (told.code, told.stderr) == (130, "Stopped. Nothing was written.\n")


async def test_a_stopped_migration_says_what_is_done(terminal: Terminal, sql: Sql) -> None:
    async def it_waits() -> bool:
        return bool(await sql.fetchval(WAITING_FOR_THE_LOCK))

    await sql.execute("select pg_advisory_lock($1)", LOCK)
    process = await replace(terminal, program="service").start("migrate")
    await eventually(it_waits, 30)
    told = await stopped(process)
    await sql.execute("select pg_advisory_unlock($1)", LOCK)
    assert (told.code, told.stdout, told.stderr) == (
        130,
        "",
        "Stopped. Completed migrations are kept, and the same command goes on after them.\n",
    )


async def test_ctrl_c_while_it_starts_leaves_no_traceback(
    clerk: ClerkEmulator, terminal: Terminal, store_url: str
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD))
    process = await terminal.start("backfill")

    async def it_imports() -> bool:
        return "pydantic_core" in _mapped(process)

    await eventually(it_imports, 30)
    told = await stopped(process)
    # On a busy machine it may have started by now.
    assert told.code in {-signal.SIGINT, 130}
    assert "Traceback" not in told.stderr


def _mapped(process: Process) -> str:
    """The files that are mapped into its memory."""
    return Path(f"/proc/{process.pid}/maps").read_text()


def _waits_in(process: Process) -> str:
    """The function of the kernel in which it waits."""
    return Path(f"/proc/{process.pid}/wchan").read_text()

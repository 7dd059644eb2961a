"""How commands begin, what they print, and how they end."""

import asyncio
import sys
from pathlib import Path

import pytest

from adapters.postgres.exclusive import PostgresExclusive
from domain.errors import AlreadyRunning
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.exclusive_run import LOCK, holder
from tests.operator.scenes import ids_of
from tests.operator.terminal import ROOT, Terminal
from tests.postgres_server import temporary_database


async def test_a_backfill_ends_with_the_table_of_outcomes(
    clerk: ClerkEmulator, terminal: Terminal
) -> None:
    clerk.create_users(3)
    ended = await terminal.run("backfill")
    assert ended.code == 0
    assert ended.stdout.split()[:1] == ["backfill"]
    assert [word for word in ended.stdout.split() if word.isalnum()] == [
        "backfill", "created", "3", "updated", "0", "unchanged", "0", "stale", "0",
        "deleted", "0", "gone", "0", "quarantined", "0", "failed", "0",
    ]  # fmt: skip
    assert ended.stderr == ""


async def test_a_dry_run_says_so_and_says_what_it_would_do(
    clerk: ClerkEmulator, terminal: Terminal
) -> None:
    clerk.create_users(3)
    first = await terminal.run("backfill", "--dry-run", "--json")
    assert first.records == [
        {
            "command": "backfill",
            "dry_run": True,
            "exit_code": 0,
            "outcomes": {
                "created": 3, "updated": 0, "unchanged": 0, "stale": 0, "deleted": 0,
                "gone": 0, "quarantined": 0, "failed": 0,
            },
        }
    ]  # fmt: skip


async def test_reconcile_prints_fields_and_shows_values_only_when_asked(
    clerk: ClerkEmulator, terminal: Terminal
) -> None:
    clerk.create_users(1)
    await terminal.run("backfill")
    clerk.update_user(ids_of(clerk)[0], first_name="Newer")
    quiet, open_, repaired = (
        await terminal.run("reconcile", "--full"),
        await terminal.run("reconcile", "--full", "--show-values"),
        await terminal.run("reconcile", "--full", "--repair", "--json"),
    )
    assert [quiet.code, open_.code, repaired.code] == [0, 0, 0]
    assert f"differing  {ids_of(clerk)[0]}  clerk_updated_at, first_name" in quiet.stdout
    assert "Newer" not in quiet.stdout
    assert "first_name: here 'User', at Clerk 'Newer'" in open_.stdout
    assert repaired.outcomes == {"updated": 1}
    assert repaired.records[-1]["drift_left"] == 0


async def test_held_back_deletions_end_with_65_and_say_what_to_do(
    clerk: ClerkEmulator, terminal: Terminal
) -> None:
    clerk.create_users(3)
    await terminal.run("backfill")
    clerk.delete_user(ids_of(clerk)[0])
    ended = await terminal.run("reconcile", "--full", "--repair", "--allow-deletions", "0")
    assert ended.code == 65
    assert "--allow-deletions 1" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["backfill", "--nonsense"], ["reconcile", "--allow-deletions", "many"], []],
)
async def test_usage_that_is_wrong_ends_with_64(terminal: Terminal, arguments: list[str]) -> None:
    ended = await terminal.run(*arguments)
    assert ended.code == 64
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
async def test_a_wrong_key_ends_with_77(terminal: Terminal, command: str) -> None:
    ended = await terminal.told(CLERK_SECRET_KEY="sk_test_of_somebody_else").run(command)
    assert ended.code == 77
    assert ended.stderr == ("Clerk refuses CLERK_SECRET_KEY: our secret key is refused\n")


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
async def test_a_key_of_another_instance_ends_with_77(terminal: Terminal, command: str) -> None:
    ended = await terminal.told(CLERK_INSTANCE_ID="ins_another").run(command)
    assert ended.code == 77
    assert "CLERK_SECRET_KEY is another instance's" in ended.stderr


async def test_an_unreachable_store_ends_with_69(terminal: Terminal) -> None:
    ended = await terminal.told(DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").run("backfill")
    assert ended.code == 69
    assert ended.stderr.startswith("The store is unavailable")
    assert "Traceback" not in ended.stderr


async def test_a_clerk_that_answers_nonsense_ends_with_69(
    clerk: ClerkEmulator, terminal: Terminal
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT))
    ended = await terminal.run("backfill")
    assert ended.code == 69
    assert ended.stderr.startswith("Clerk is unavailable")


async def test_settings_that_are_wrong_end_with_78_all_named(terminal: Terminal) -> None:
    ended = await terminal.told(CLERK_SECRET_KEY=None, DATABASE_URL="mysql://").run("backfill")
    assert ended.code == 78
    assert "CLERK_SECRET_KEY" in ended.stderr
    assert "DATABASE_URL" in ended.stderr


async def test_a_schema_behind_ends_with_78_and_says_how_to_mend_it(
    terminal: Terminal, postgres_url: str
) -> None:
    async with temporary_database(postgres_url, "operator_schema_behind") as empty:
        ended = await terminal.told(DATABASE_URL=empty).run("backfill")
    assert ended.code == 78
    assert "python -m service migrate" in ended.stderr


async def test_a_second_run_ends_with_75_and_says_who_holds_the_lock(
    terminal: Terminal, store_url: str
) -> None:
    name = holder("backfill")
    async with PostgresExclusive(store_url).hold(LOCK, name):
        ended = await terminal.run("reconcile")
    assert ended.code == 75
    assert name in ended.stderr


async def test_the_lock_is_free_again_at_once(store_url: str) -> None:
    exclusive = PostgresExclusive(store_url)
    for _ in range(3):
        async with exclusive.hold("a test's", "me"):
            with pytest.raises(AlreadyRunning):
                await exclusive.hold("a test's", "another").__aenter__()


async def test_it_can_be_run_by_its_path(terminal: Terminal) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(ROOT, "scripts", "replay_webhooks.py")),
        "--help",
        stdout=asyncio.subprocess.PIPE,
        cwd=terminal.directory,
    )
    stdout, _ = await process.communicate()
    assert process.returncode == 0
    assert b"backfill" in stdout

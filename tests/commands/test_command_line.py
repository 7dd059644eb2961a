"""How commands start, what they print, and how they end."""

import asyncio
import sys
from pathlib import Path

import pytest

from adapters.postgres.exclusive import PostgresExclusive
from domain.reconcile import WATERMARK
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.jobs import OPERATOR_LOCK, holder
from tests.commands.commands import Operator
from tests.commands.scenes import ids_of
from tests.commands.terminal import ROOT, Terminal
from tests.postgres_server import Sql, temporary_database

COMMANDS = ["backfill", "reconcile", "journal", "file", "export", "explain", "retain", "erase"]
ARGUMENTS = {"file": ["-"], "explain": ["user_1"], "erase": ["user_1"]}
ALONE = ["backfill", "reconcile", "journal", "file", "retain", "erase"]


@pytest.fixture
def operator(clerk: ClerkEmulator, store_url: str) -> Operator:
    """An operator with the settings of this instance."""
    settings = {"DATABASE_URL": store_url, "CLERK_RATE_LIMIT": "100000"}
    return Operator({**clerk.config.environment(), **settings})


async def test_a_backfill_ends_with_the_table_of_outcomes(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    clerk.create_users(3)
    ended = await operator.run("backfill")
    assert ended.code == 0
    assert [word for word in ended.out.split() if word.isalnum()] == [
        "backfill", "created", "3", "updated", "0", "unchanged", "0", "stale", "0",
        "deleted", "0", "gone", "0", "quarantined", "0", "failed", "0",
    ]  # fmt: skip
    assert ended.err == ""


async def test_a_dry_run_says_so_and_says_what_it_would_do(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    clerk.create_users(3)
    first = await operator.run("backfill", "--dry-run", "--json")
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


async def test_reconcile_prints_the_names_of_differing_fields_but_no_values(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    await _differing(clerk, operator)
    ended = await operator.run("reconcile", "--full")
    assert ended.code == 3
    assert f"differing  {ids_of(clerk)[0]}  clerk_updated_at, first_name" in ended.out
    assert "Newer" not in ended.out


async def test_reconcile_shows_values_when_asked(clerk: ClerkEmulator, operator: Operator) -> None:
    await _differing(clerk, operator)
    ended = await operator.run("reconcile", "--full", "--show-values")
    assert "first_name: here User, at Clerk Newer" in ended.out


async def test_a_repair_counts_what_it_did_and_what_is_left(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    await _differing(clerk, operator)
    ended = await operator.run("reconcile", "--full", "--repair", "--json")
    last = ended.records[-1]
    assert (ended.code, last["outcomes"]["updated"]) == (0, 1)
    assert (last["drift_repaired"], last["drift_left"]) == (1, 0)


CURSORS = "select name from sync_checkpoints where name like 'reconcile.%'"


async def test_a_dry_run_of_reconcile_writes_not_even_how_far_it_came(
    clerk: ClerkEmulator, operator: Operator, sql: Sql
) -> None:
    clerk.create_users(1)
    await operator.run("backfill")
    ended = await operator.run("reconcile", "--dry-run")
    assert "dry run: nothing was written" in ended.out
    assert await sql.fetch(CURSORS) == []
    ended = await operator.run("reconcile")
    assert "without --repair: no user was written" in ended.out
    assert [row["name"] for row in await sql.fetch(CURSORS)] == [WATERMARK]


async def test_a_reconcile_that_could_not_read_a_user_says_so_every_time(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    clerk.create_users(2)
    clerk.edit_user(ids_of(clerk)[0], first_name="\x00")
    for _ in range(2):
        ended = await operator.run("reconcile", "--repair", "--json")
        assert (ended.code, ended.records[-1]["outcomes"]["failed"]) == (65, 1)


async def _differing(clerk: ClerkEmulator, operator: Operator) -> None:
    clerk.create_users(1)
    await operator.run("backfill")
    clerk.update_user(ids_of(clerk)[0], first_name="Newer")


async def test_held_back_deletions_end_with_3_and_say_what_to_do(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    clerk.create_users(3)
    await operator.run("backfill")
    clerk.delete_user(ids_of(clerk)[0])
    ended = await operator.run("reconcile", "--full", "--repair", "--allow-deletions", "0")
    assert (ended.code, "--allow-deletions 1" in ended.said) == (3, True)


WRONG = {
    ("nonsense",): "No such command 'nonsense'",
    ("backfill", "--nonsense"): "No such option: --nonsense",
    ("backfill", "--secret-key", "sk_test_x"): "No such option: --secret-key",
    ("reconcile", "--allow-deletions", "many"): "Invalid value for '--allow-deletions'",
    ("explain",): "Missing argument 'USER'",
    (): "Usage:",
}


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
async def test_usage_that_is_wrong_ends_with_64(
    operator: Operator, arguments: tuple[str, ...]
) -> None:
    ended = await operator.run(*arguments)
    assert (ended.code, WRONG[arguments] in ended.said) == (64, True)
    assert "Traceback" not in ended.said


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
async def test_a_wrong_key_ends_with_77(operator: Operator, command: str) -> None:
    ended = await operator.run(command, CLERK_SECRET_KEY="sk_test_of_somebody_else")
    assert ended.code == 77
    assert ended.err == "Clerk refuses CLERK_SECRET_KEY: our secret key is refused\n"


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
async def test_a_key_of_another_instance_ends_with_77(operator: Operator, command: str) -> None:
    ended = await operator.run(command, CLERK_INSTANCE_ID="ins_another")
    assert (ended.code, "CLERK_SECRET_KEY is of ins_" in ended.said) == (77, True)


@pytest.mark.parametrize("command", COMMANDS)
async def test_an_unreachable_store_ends_with_69(operator: Operator, command: str) -> None:
    nowhere = "postgresql://nobody:hidden@127.0.0.1:1/none"
    ended = await operator.run(command, *ARGUMENTS.get(command, []), DATABASE_URL=nowhere)
    assert (ended.code, ended.err.startswith("The store is unavailable")) == (69, True)
    assert "hidden" not in ended.said


async def test_a_clerk_that_answers_nonsense_ends_with_69(
    clerk: ClerkEmulator, operator: Operator
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT))
    ended = await operator.run("backfill")
    assert (ended.code, ended.err.startswith("Clerk is unavailable")) == (69, True)


SETTINGS: dict[str, dict[str, str | None]] = {
    "CLERK_SECRET_KEY: Field required": {"CLERK_SECRET_KEY": None},
    "CLERK_SECRET_KEY: a Clerk secret key starts with sk_": {"CLERK_SECRET_KEY": "pk_test_x"},
    "DATABASE_URL: not postgresql://": {"DATABASE_URL": "mysql://me:hidden@host/x"},
    "DATABASE_URL: channel_binding: require needs TLS": {
        "DATABASE_URL": "postgresql://me:hidden@host/x?sslmode=disable&channel_binding=require"
    },
    "CLERK_RATE_LIMIT: Input should be greater than or equal to 10": {"CLERK_RATE_LIMIT": "9"},
}


@pytest.mark.parametrize("words", SETTINGS)
@pytest.mark.parametrize("command", ["backfill", "journal"])
async def test_settings_that_are_wrong_end_with_78_and_are_named(
    operator: Operator, command: str, words: str
) -> None:
    ended = await operator.told(SETTINGS[words]).run(command)
    assert (ended.code, words in ended.said) == (78, True)
    assert "hidden" not in ended.said


async def test_all_settings_that_are_wrong_are_named_at_once(operator: Operator) -> None:
    ended = await operator.run("backfill", CLERK_SECRET_KEY=None, DATABASE_URL="mysql://")
    assert ended.code == 78
    assert "CLERK_SECRET_KEY" in ended.err
    assert "DATABASE_URL" in ended.err


async def test_a_schema_behind_ends_with_78_and_says_how_to_mend_it(
    operator: Operator, postgres_url: str
) -> None:
    async with temporary_database(postgres_url, "operator_schema_behind") as empty:
        for command in COMMANDS:
            ended = await operator.run(command, *ARGUMENTS.get(command, []), DATABASE_URL=empty)
            assert (command, ended.code) == (command, 78)
            assert "python -m service migrate" in ended.err


@pytest.mark.parametrize("command", ALONE)
async def test_a_second_run_ends_with_75_and_names_the_holder_of_the_lock(
    operator: Operator, store_url: str, command: str
) -> None:
    name = holder("backfill")
    async with PostgresExclusive(store_url).hold(OPERATOR_LOCK, name):
        ended = await operator.run(command, *ARGUMENTS.get(command, []))
    assert ended.code == 75
    assert ended.err == f"Another run is under way: {name}\n"


@pytest.mark.parametrize("command", ["export", "explain"])
async def test_what_only_reads_may_run_beside_another(
    operator: Operator, store_url: str, command: str
) -> None:
    async with PostgresExclusive(store_url).hold(OPERATOR_LOCK, "somebody"):
        ended = await operator.run(command, *ARGUMENTS.get(command, []))
    assert ended.code != 75


async def test_the_process_itself_ends_with_the_code(terminal: Terminal, store_url: str) -> None:
    async with PostgresExclusive(store_url).hold(OPERATOR_LOCK, "somebody"):
        ended = await terminal.run("reconcile")
    assert (ended.code, "somebody" in ended.stderr) == (75, True)


async def test_the_process_itself_ends_with_64_for_wrong_usage(terminal: Terminal) -> None:
    ended = await terminal.run("nonsense")
    assert (ended.code, "Traceback" in ended.stderr) == (64, False)


async def test_without_a_terminal_there_are_no_colours(
    operator: Operator, clerk: ClerkEmulator
) -> None:
    clerk.create_users(1)
    for arguments in (["backfill"], ["reconcile", "--full"], ["doctor"], ["nonsense"]):
        ended = await operator.run(*arguments)
        assert "\x1b" not in ended.out + ended.err


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

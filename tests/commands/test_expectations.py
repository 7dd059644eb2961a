"""Usual expectations of a command line: known names, readable values, an audit trail."""

import os
import shlex
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from domain.errors import IdentityProviderUnavailable
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.commands.entries import OPERATORS
from scripts.commands.screen import written
from tests.adapters.clerk.payloads import ADA
from tests.commands.arrivals import happened
from tests.commands.commands import Operator
from tests.commands.scenes import ids_of
from tests.people import at
from tests.postgres_server import Sql

NO_SUBSCRIPTION = "failed: There is no subscription 'mail'. There are: none"
WRITES: dict[str, tuple[str, str | None, str]] = {
    "backfill": ("backfill", None, "done"),
    "reconcile --repair": ("reconcile", None, "done"),
    "journal": ("replay", None, "done"),
    "file -": ("replay", None, "bad data: 1 failed"),
    "retain": ("retain", None, "done"),
    f"erase {ADA}": ("erase", ADA, "done"),
    "dismiss msg_1 --reason junk": (
        "dismiss",
        "msg_1",
        "failed: No such delivery is in quarantine.",
    ),
    "adopt accounts --apply": (
        "adopt",
        "accounts",
        "failed: Cannot adopt: there is no table or view accounts.",
    ),
    "changes retry mail": ("changes retry", "mail", NO_SUBSCRIPTION),
    "changes skip mail": ("changes skip", "mail", NO_SUBSCRIPTION),
    "changes rewind mail --to oldest": ("changes rewind", "mail", NO_SUBSCRIPTION),
    "changes resume mail": ("changes resume", "mail", NO_SUBSCRIPTION),
    "changes remove mail": ("changes remove", "mail", NO_SUBSCRIPTION),
}
"""The action, target and result on the audit trail. A failure is there too."""
LOOKS = {"doctor", "export", "explain", "changes tail", "changes list"}


@pytest.mark.parametrize("name", ["email", "external_id", "id", "clerk_id"])
async def test_a_user_is_found_by_any_name(
    operator: Operator, database: Database, sql: Sql, name: str
) -> None:
    await happened(database, "user.created")
    await sql.execute("update users set external_id = 'customer-1'")
    known_as = str(await sql.fetchval(f"select {name} from users"))
    told = await operator.run("explain", known_as)
    assert (told.code, "created: there was no record" in told.out) == (0, True)
    erased = await operator.run("erase", known_as, "--json")
    assert (erased.code, erased.records[-1]["bodies_erased"]) == (0, 1)


@pytest.mark.parametrize("command", ["explain", "erase"])
async def test_a_name_of_several_users_lists_them(
    clerk: ClerkEmulator, sure: Operator, sql: Sql, command: str
) -> None:
    clerk.create_users(2)
    await sure.run("backfill")
    await sql.execute("update users set external_id = 'both'")
    ended = await sure.run(command, "both")
    assert (ended.code, "'both' matches 2 users" in ended.said) == (64, True)
    assert all(user_id in ended.said for user_id in ids_of(clerk))


WRITTEN = {
    "none": None,
    "yes": True,
    "no": False,
    "Zoë": "Zoë",
    '""': "",
    "\\x1b[31mred": "\x1b[31mred",
    "one\\ntwo": "one\ntwo",
    "1970-01-01T00:00:00+00:00": at(0).fromtimestamp(0, at(0).tzinfo),
    '{"plan":"pro"}': {"plan": "pro"},
    "[1,2]": (1, 2),
    "7": 7,
}


@pytest.mark.parametrize("text", WRITTEN)
def test_values_are_written_as_people_write_them(text: str) -> None:
    assert written(WRITTEN[text]) == text


async def test_a_dry_run_says_what_would_be(clerk: ClerkEmulator, sure: Operator) -> None:
    clerk.create_users(1)
    assert "would be created 1" in (await sure.run("backfill", "--dry-run")).said
    done = await sure.run("backfill")
    assert ("created 1" in done.said, "would be" in done.said) == (True, False)


@pytest.mark.parametrize("name", OPERATORS)
async def test_each_command_names_its_database_and_instance_first(
    sure: Operator, store_url: str, clerk: ClerkEmulator, name: str
) -> None:
    example = OPERATORS[name].examples[0].partition(" > ")[0]
    ended = await sure.run(*shlex.split(example))
    server, _, database = store_url.rpartition("@")[2].partition("/")
    where = f"database {database} on {server}, Clerk instance {clerk.config.instance_id}"
    assert ended.works_on == f"{name}: {where}\n"


async def test_no_password_is_printed(sure: Operator) -> None:
    nowhere = "postgresql://me:hidden@127.0.0.1:1/app"
    ended = await sure.run("backfill", DATABASE_URL=nowhere, CLERK_INSTANCE_ID=None)
    assert ended.works_on.startswith("backfill: database app on 127.0.0.1:1, Clerk instance 127.")
    assert "hidden" not in ended.works_on + ended.said
    assert "me" not in ended.works_on.split()


async def test_export_overwrites_only_by_force(
    operator: Operator, database: Database, tmp_path: Path
) -> None:
    await happened(database, "user.created")
    kept = tmp_path / "kept.jsonl"
    kept.write_text("of value")
    refused = await operator.run("export", str(kept))
    assert (refused.code, "--force overwrites it" in refused.said) == (64, True)
    assert kept.read_text() == "of value"
    assert (await operator.run("export", str(kept), "--force")).code == 0
    assert kept.read_text().startswith('{"svix_id":"msg_1"')
    assert (await operator.run("export", os.devnull)).code == 0
    empty = tmp_path / "empty.jsonl"
    empty.touch(0o644)
    assert (await operator.run("export", str(empty))).code == 0
    assert (empty.stat().st_mode & 0o777, empty.read_text()) == (0o600, kept.read_text())


async def trail(sql: Sql) -> list[tuple[str, str, str | None, str | None]]:
    rows = await sql.fetch("select who, action, target, result from operator_actions order by id")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("command", WRITES)
async def test_what_writes_is_on_the_audit_trail(sure: Operator, sql: Sql, command: str) -> None:
    words = command.split()
    dry = words[:-1] if words[-1] == "--apply" else [*words, "--dry-run"]
    await sure.run(*dry, stdin=b"\n")
    assert await trail(sql) == []
    await sure.run(*words, stdin=b"{}\n")
    ((who, *told),) = await trail(sql)
    assert who.startswith("cli:")
    assert len(who) > len("cli:")
    assert told == [*WRITES[command]]


def test_every_command_writes_or_looks() -> None:
    writes = {name for name in OPERATORS if any(f"{one} ".startswith(f"{name} ") for one in WRITES)}
    assert writes == OPERATORS.keys() - LOOKS


async def test_the_trail_has_the_counts_and_the_failures(
    clerk: ClerkEmulator, sure: Operator, sql: Sql
) -> None:
    clerk.create_users(2)
    await sure.run("backfill")
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT))
    await sure.run("backfill", "--restart")
    done, failed = await trail(sql)
    assert done[-1] == "done: 2 created"
    assert failed[-1] is not None
    assert failed[-1].startswith(f"failed: {IdentityProviderUnavailable.words}")


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--repair", "--dry-run"]])
async def test_drift_that_is_reported_ends_with_3(
    clerk: ClerkEmulator, sure: Operator, options: list[str]
) -> None:
    assert (await sure.run("reconcile", "--full", *options)).code == 0
    clerk.create_users(1)
    assert (await sure.run("reconcile", "--full", *options)).code == 3
    assert (await sure.run("reconcile", "--full", "--repair")).code == 0
    assert (await sure.run("reconcile", "--full", *options)).code == 0


async def test_a_row_ahead_of_clerk_is_named_as_what_no_repair_changes(
    clerk: ClerkEmulator, sure: Operator, sql: Sql
) -> None:
    clerk.create_users(1)
    await sure.run("backfill")
    await sql.execute("update users set clerk_updated_at = clerk_updated_at + interval '1 day'")
    ended = await sure.run("reconcile", "--full", "--repair")
    assert (ended.code, "1 row cannot be repaired: our version is newer" in ended.said) == (
        3,
        True,
    )

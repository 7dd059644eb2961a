"""A dry run refuses what the run refuses, with the same exit code."""

from pathlib import Path

import pytest

from adapters.postgres.database import Database
from domain.instance import PIN
from tests.commands.arrivals import entries, happened, line
from tests.commands.commands import Operator
from tests.postgres_server import Sql


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=" ".join)
@pytest.mark.parametrize("command", [("journal",), ("file", "-")], ids=" ".join)
async def test_a_replay_into_the_store_of_another_instance(
    operator: Operator,
    database: Database,
    sql: Sql,
    command: tuple[str, ...],
    options: tuple[str, ...],
) -> None:
    await happened(database, "user.created")
    await sql.execute("delete from users")
    await sql.execute("insert into sync_checkpoints values ($1, 'ins_theirs')", PIN)
    before = await entries(sql)
    ended = await operator.run(*command, *options, stdin=line())
    assert (ended.code, "the rows are of ins_theirs" in ended.err, ended.out) == (77, True, "")
    assert await entries(sql) == before


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=" ".join)
async def test_a_post_without_a_secret_to_sign_with(
    operator: Operator, database: Database, options: tuple[str, ...]
) -> None:
    await happened(database, "user.created")
    polls = operator.told({"CLERK_WEBHOOK_SIGNING_SECRET": "", "POLL_EVERY": "60"})
    ended = await polls.run("journal", "--post", "http://127.0.0.1:1", *options)
    assert (ended.code, "set REPLAY_SIGNING_SECRET" in ended.err) == (78, True)


@pytest.mark.parametrize("options", [(), ("--dry-run",)], ids=" ".join)
@pytest.mark.parametrize(
    ("place", "code", "words"),
    [
        ("kept.jsonl", 64, "exists: --force overwrites it"),
        ("folder", 65, "cannot be written: Is a directory"),
        ("nowhere/new.jsonl", 65, "cannot be written: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("database")
async def test_an_export_to_a_place_that_cannot_be_written(
    operator: Operator,
    tmp_path: Path,
    *,
    place: str,
    code: int,
    words: str,
    options: tuple[str, ...],
) -> None:
    (tmp_path / "kept.jsonl").write_text("kept\n")
    (tmp_path / "folder").mkdir()
    ended = await operator.run("export", str(tmp_path / place), *options)
    assert (ended.code, words in ended.said) == (code, True)
    assert (tmp_path / "kept.jsonl").read_text() == "kept\n"


async def test_a_dry_export_over_a_file_keeps_it(
    operator: Operator, database: Database, tmp_path: Path
) -> None:
    await happened(database, "user.created")
    kept = tmp_path / "kept.jsonl"
    kept.write_text("kept\n")
    ended = await operator.run("export", str(kept), "--force", "--dry-run")
    assert (ended.code, "1 would be written" in ended.said) == (0, True)
    assert kept.read_text() == "kept\n"

"""More than a thousand replays need consent at the terminal, or `--yes` without one."""

import asyncio
import json
import os
import pty
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.command import ASKED_ABOVE
from tests.commands.arrivals import entries
from tests.commands.commands import Operator
from tests.commands.terminal import ROOT
from tests.postgres_server import Sql

DELIVERIES = """
insert into sync_journal (svix_id, event_type, source, outcome)
select 'msg_' || n, 'user.updated', 'webhook', 'updated' from generate_series(1, $1) as n
"""

STOPPED = f"Stopped: the first {ASKED_ABOVE} deliveries are replayed."


def lines(number: int) -> bytes:
    """Deliveries of an event that is not followed: quick to replay."""
    fields = {"received_at": "2025-10-09T11:40:00Z", "body": '{"type": "session.created"}'}
    return b"".join(
        json.dumps({"svix_id": f"msg_{n}", **fields}).encode() + b"\n" for n in range(number)
    )


@pytest.fixture
async def many(sql: Sql) -> int:
    """More than are replayed without consent; without bodies, so that it is fast."""
    await sql.execute(DELIVERIES, ASKED_ABOVE + 1)
    return ASKED_ABOVE + 1


async def test_without_a_terminal_many_are_refused_with_64_and_words(
    operator: Operator, many: int, sql: Sql
) -> None:
    before = await entries(sql)
    ended = await operator.run("journal")
    assert (ended.code, ended.err) == (
        64,
        (
            f"{many} deliveries would be replayed: add --yes to agree, "
            "or --dry-run to see what it does.\n"
        ),
    )
    assert await entries(sql) == before


@pytest.mark.parametrize("option", ["--yes", "--dry-run"])
async def test_consent_is_asked_for_a_replay_and_not_for_a_dry_run(
    operator: Operator, many: int, option: str
) -> None:
    assert await operator.outcomes("journal", option) == {"no body": many}


async def test_as_many_as_are_replayed_unasked_are(operator: Operator, many: int) -> None:
    said = await operator.outcomes("journal", "--limit", str(ASKED_ABOVE))
    assert said == {"no body": ASKED_ABOVE}


@pytest.mark.parametrize(
    "case",
    [
        {"number": ASKED_ABOVE, "options": [], "code": 0, "replayed": ASKED_ABOVE},
        {"number": ASKED_ABOVE + 1, "options": [], "code": 64, "replayed": 0},
        {"number": ASKED_ABOVE + 1, "options": ["--yes"], "code": 0, "replayed": ASKED_ABOVE + 1},
    ],
)
@pytest.mark.parametrize("standard", [False, True])
async def test_a_file_is_counted_first(
    operator: Operator, tmp_path: Path, standard: bool, case: dict[str, Any]
) -> None:
    path = tmp_path / "deliveries.jsonl"
    path.write_bytes(lines(case["number"]))
    source = ["-"] if standard else [str(path)]
    stdin = path.read_bytes() if standard else b""
    ended = await operator.run("file", *source, *case["options"], "--json", stdin=stdin)
    replayed = sum("verdict" in one for one in ended.records)
    assert (ended.code, replayed) == (case["code"], case["replayed"])


async def test_a_pipe_stops_when_more_come_than_are_replayed_unasked(
    operator: Operator, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_bytes, lines(ASKED_ABOVE + 1)))
    ended = await operator.run("file", str(pipe), "--json")
    await asyncio.gather(writing, return_exceptions=True)
    assert ended.code == 64
    words = f"The first {ASKED_ABOVE} deliveries are replayed, and more have come: add --yes"
    assert words in ended.said
    *replayed, summary = ended.records
    assert [one["verdict"] for one in replayed] == ["ignored"] * ASKED_ABOVE
    assert summary["exit_code"] == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (b"y\n", 0, "1001"),
        (b"\n", 64, "Nothing was done."),
        (b"n\n", 64, "Nothing was done."),
        (b"\x04", 64, "Nothing was done."),
        (b"\x03", 130, "Stopped."),
    ],
)
async def test_at_a_terminal_a_person_is_asked(
    operator: Operator, many: int, answer: bytes, code: int, words: str
) -> None:
    ended, said = await asyncio.to_thread(_at_a_terminal, operator, answer, "journal")
    assert "1001 deliveries would be replayed. Go on? [y/N]" in said
    assert (ended, words in said) == (code, True)
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answer", "code", "words", "result"),
    [
        (b"y\n", 0, "1003", "done"),
        (b"n\n", 64, STOPPED, f"failed: {STOPPED}"),
    ],
)
async def test_at_a_terminal_a_person_is_asked_once_about_a_pipe(
    operator: Operator,
    sql: Sql,
    tmp_path: Path,
    *,
    answer: bytes,
    code: int,
    words: str,
    result: str,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = asyncio.create_task(asyncio.to_thread(pipe.write_bytes, lines(ASKED_ABOVE + 3)))
    ended, said = await asyncio.to_thread(_at_a_terminal, operator, answer, "file", str(pipe))
    await asyncio.gather(writing, return_exceptions=True)
    assert (ended, words in said, said.count("[y/N]")) == (code, True, 1)
    assert "Nothing was done" not in said
    assert await sql.fetchval("select result from operator_actions") == result


def _at_a_terminal(operator: Operator, answer: bytes, *arguments: str) -> tuple[int, str]:
    """Type the answer whenever asked. Returns the exit code, and what the screen showed."""
    child, terminal = pty.fork()
    if child == 0:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TERM": "dumb"}
        given = {name: value for name, value in operator.environment.items() if value}
        command = [sys.executable, "-m", "scripts.replay_webhooks", *arguments]
        os.execve(sys.executable, command, {**environment, **given})
    said = b""
    while b"[y/N]" in (shown := _read(terminal, until=b"[y/N]")):
        os.write(terminal, answer)
        said += shown
    said += shown
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode()


def _read(terminal: int, *, until: bytes) -> bytes:
    """Read up to some words, or to the end, which Linux signals by an error."""
    said = b""
    while until not in said:
        try:
            piece = os.read(terminal, 4096)
        except OSError:
            return said
        if not piece:
            return said
        said += piece
    return said

"""`file` and `export`: deliveries as JSON Lines, good lines and bad."""

import base64
import codecs
import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from adapters.postgres.database import Database
from scripts.commands.files import standard_output
from tests.adapters.clerk.payloads import ADA
from tests.commands.arrivals import entries, happened, line, quarantined
from tests.commands.commands import Operator
from tests.postgres_server import Sql


async def test_a_file_is_applied_and_journaled_as_a_replay(
    operator: Operator, sql: Sql, tmp_path: Path
) -> None:
    path = tmp_path / "deliveries.jsonl"
    path.write_bytes(line("user.created") + b"\n" + line("user.updated"))
    assert await operator.outcomes("file", str(path)) == {"created": 1, "updated": 1}
    told = [(one["svix_id"], one["source"], one["outcome"]) for one in await entries(sql)]
    assert told == [
        ("msg_user_created", "replay", "created"),
        ("msg_user_updated", "replay", "updated"),
    ]


async def test_standard_input_will_do(operator: Operator) -> None:
    assert await operator.outcomes("file", "-", stdin=line()) == {"created": 1}


async def test_a_file_may_begin_with_a_byte_order_mark(operator: Operator) -> None:
    marked = codecs.BOM_UTF8 + line()
    assert await operator.outcomes("file", "-", stdin=marked) == {"created": 1}


async def test_the_order_of_the_lines_does_not_matter(operator: Operator, sql: Sql) -> None:
    names = ["user.updated", "user.created"]
    said = await operator.outcomes("file", "-", stdin=b"".join(map(line, names)))
    assert said == {"created": 1, "stale": 1}
    assert await sql.fetchval("select first_name from users") == "Augusta Ada"


async def test_a_dry_run_writes_nothing(operator: Operator, sql: Sql) -> None:
    names = ["user.created", "user.updated"]
    said = await operator.outcomes("file", "-", "--dry-run", stdin=b"".join(map(line, names)))
    assert said == {"created": 1, "updated": 1}
    assert (await entries(sql), await sql.fetchval("select count(*) from users")) == ([], 0)


async def test_events_we_do_not_follow_are_counted_as_ignored(operator: Operator) -> None:
    assert await operator.outcomes("file", "-", stdin=line("session.created")) == {"ignored": 1}


async def test_what_was_exported_can_be_replayed(
    operator: Operator, database: Database, sql: Sql, tmp_path: Path
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.updated", svix_id="msg_2")
    before = await entries(sql)
    path = tmp_path / "deliveries.jsonl"
    exported = await operator.run("export", str(path))
    assert (exported.code, exported.said) == (
        0,
        "2 written, 0 left out because their body is gone",
    )
    await sql.execute("delete from users; delete from sync_journal")
    assert await operator.outcomes("file", str(path)) == {"created": 1, "updated": 1}
    kept = ("svix_id", "event_type", "clerk_id", "occurred_at", "outcome", "body")
    after = await entries(sql)
    assert [[one[name] for name in kept] for one in after] == [
        [one[name] for name in kept] for one in before
    ]


async def test_a_deletion_is_exported_without_a_body_to_copy(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.deleted", svix_id="msg_2")
    exported = await operator.run("export")
    assert exported.err.strip() == "1 written, 1 left out because their body is gone"
    await sql.execute("delete from users")
    assert await operator.outcomes("file", "-", stdin=exported.out.encode()) == {"deleted": 1}


async def test_a_body_that_is_not_text_is_written_as_base64(
    operator: Operator, database: Database
) -> None:
    await quarantined(database, b"\xff\xfe{")
    (written,) = (await operator.run("export")).records
    assert base64.b64decode(written["body_base64"]) == b"\xff\xfe{"
    ended = await operator.run("file", "-", stdin=json.dumps(written).encode())
    assert (ended.code, "msg_q: failed: not_json" in ended.said) == (65, True)


async def test_an_export_is_filtered_and_belongs_to_its_owner(
    operator: Operator, database: Database, tmp_path: Path
) -> None:
    await happened(database, "user.created", svix_id="msg_1")
    await happened(database, "user.updated", svix_id="msg_2")
    path = tmp_path / "deliveries.jsonl"
    await operator.run("export", str(path), "--type", "user.updated")
    assert [json.loads(one)["svix_id"] for one in path.read_bytes().splitlines()] == ["msg_2"]
    assert path.stat().st_mode & 0o777 == 0o600


async def test_an_export_closes_a_file_that_was_open_to_others(
    operator: Operator, tmp_path: Path
) -> None:
    path = tmp_path / "deliveries.jsonl"
    path.touch(mode=0o644)
    await operator.run("export", str(path))
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_dry_export_leaves_no_file(
    operator: Operator, database: Database, tmp_path: Path
) -> None:
    await happened(database, "user.created")
    ended = await operator.run("export", str(tmp_path / "x"), "--dry-run")
    assert "1 would be written" in ended.said
    assert not (tmp_path / "x").exists()


BAD_LINES = {
    b"nonsense\n": "not JSON",
    b"[]\n": "not a JSON object",
    b'\xff{"a": 1}\n': "not UTF-8",
    line(svix_id="a.b"): "svix_id is missing or malformed",
    line(svix_id=None): "svix_id is missing or malformed",
    line(received_at=None): "received_at is missing",
    line(received_at="yesterday"): "received_at is not an ISO 8601 time",
    line(received_at="2025-10-09T11:40:00"): "received_at has no time zone",
    line(received_at="9999-12-31T23:59:59Z"): "received_at is not between the years 2000 and 2999",
    line(occurred_at="0001-01-01T00:00:00+14:00"): (
        "occurred_at is not between the years 2000 and 2999"
    ),
    line(occurred_at=17): "occurred_at is not an ISO 8601 time",
    line(body=None): "neither body nor body_base64 is text",
    line(body=None, body_base64="?"): "body_base64 is not base64",
}


@pytest.mark.parametrize("bad", BAD_LINES, ids=BAD_LINES.get)
async def test_a_bad_line_is_named_and_the_rest_goes_on(operator: Operator, bad: bytes) -> None:
    ended = await operator.run("file", "-", "--json", stdin=line() + bad + line("user.updated"))
    assert ended.code == 65
    assert f"line 2: failed: {BAD_LINES[bad]}" in ended.said
    outcomes = ended.records[-1]["outcomes"]
    assert (outcomes["created"], outcomes["updated"], outcomes["failed"]) == (1, 1, 1)


async def test_a_line_too_long_is_passed_over(operator: Operator) -> None:
    endless = b"x" * (9 * 1024 * 1024) + b"\n"
    ended = await operator.run("file", "-", stdin=endless + line())
    assert (ended.code, "line 1: failed: longer than any delivery" in ended.said) == (65, True)
    assert "created │ 1" in " ".join(ended.out.split())


async def test_a_cut_last_line_is_said_to_be_one(operator: Operator) -> None:
    ended = await operator.run("file", "-", stdin=line() + line("user.updated")[:200])
    assert ended.code == 65
    assert "line 2: failed: cut short: the file ends within it" in ended.said


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is empty: there is nothing to replay"),
        (b"\n \n", "is empty: there is nothing to replay"),
        (b"\x7fELF\x00\x01", "is binary, not JSON Lines"),
        (None, "cannot be read: No such file or directory"),
    ],
)
async def test_a_file_of_another_kind_is_refused(
    operator: Operator, tmp_path: Path, contents: bytes | None, words: str
) -> None:
    path = tmp_path / "file.jsonl"
    if contents is not None:
        path.write_bytes(contents)
    ended = await operator.run("file", str(path))
    assert (ended.code, words in ended.err, ended.out) == (65, True, "")


async def test_a_directory_is_refused_as_a_file(operator: Operator, tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in (await operator.run("file", str(tmp_path))).said
    assert "cannot be written: Is a directory" in (await operator.run("export", str(tmp_path))).said


async def test_a_foreign_instances_deliveries_are_not_applied(operator: Operator, sql: Sql) -> None:
    said = await operator.outcomes("file", "-", stdin=line(), CLERK_INSTANCE_ID="ins_other")
    assert said == {"ignored": 1}
    assert await sql.fetchval("select count(*) from users where clerk_id = $1", ADA) == 0


class Partial(io.RawIOBase):
    """A raw file that takes three bytes of each write, as a pipe may when a signal comes."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.taken += bytes(data[:3])
        return min(3, len(data))


def test_a_line_is_written_whole_where_standard_output_has_no_buffer() -> None:
    raw = Partial()
    unbuffered = io.TextIOWrapper(raw, write_through=True)  # type: ignore[type-var]
    with redirect_stdout(unbuffered), standard_output() as output:
        output.write(line())
    assert raw.taken == line()
    assert not raw.closed

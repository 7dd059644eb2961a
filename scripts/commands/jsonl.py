"""Deliveries as JSON Lines, which `export` writes and `file` reads.

    {"svix_id": …, "event_type": …, "occurred_at": …, "received_at": …, "body": "{…}"}

Times are ISO 8601 with a zone. `body` is the envelope as kept in the journal. If it is not UTF-8,
the line has `body_base64` instead.
"""

import base64
import binascii
import codecs
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, BinaryIO

import orjson

from domain.replay import RecordedDelivery
from domain.sync_user import is_svix_id

LONGEST_LINE = 8 * 1024 * 1024
"""Bytes: enough for a body of 1 MiB with any escapes."""

EARLIEST, LATEST = 2000, 2999
"""The years of a time that is believed."""


class BadLine(Exception):
    """A line that is not a delivery. The message is our own text and quotes nothing."""


def write_line(delivery: RecordedDelivery) -> bytes:
    """The delivery as a line, with its newline."""
    fields = {
        "svix_id": delivery.svix_id,
        "event_type": delivery.event_type,
        "occurred_at": delivery.occurred_at,
        "received_at": delivery.received_at,
        **_written_body(delivery.body),
    }
    return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)


def read_line(line: bytes) -> RecordedDelivery:
    """The delivery of a line. Raises `BadLine`."""
    fields = _fields(line)
    return RecordedDelivery(
        svix_id=_svix_id(fields),
        event_type=_event_type(fields),
        occurred_at=_time(fields, "occurred_at"),
        received_at=_required_time(fields, "received_at"),
        body=_body(fields),
    )


def numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, with their numbers; a line that is too long is cut.

    The mark at the start of a file, which some editors write, is left out.
    """
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        yield from [(number, line)] if line.strip() else []
        while len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            line = stream.readline(LONGEST_LINE + 1)


def _fields(line: bytes) -> Mapping[str, Any]:
    if len(line) > LONGEST_LINE:
        raise BadLine("longer than any delivery")
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise BadLine(_why_no_json(line)) from None
    if not isinstance(fields, dict):
        raise BadLine("not a JSON object")
    return fields


def _why_no_json(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return "not JSON" if line.endswith(b"\n") else "cut short: the file ends within it"


def _svix_id(fields: Mapping[str, Any]) -> str:
    value = fields.get("svix_id")
    if not isinstance(value, str) or not is_svix_id(value):
        raise BadLine("svix_id is missing or malformed")
    return value


def _event_type(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("event_type")
    return value if isinstance(value, str) else None


def _required_time(fields: Mapping[str, Any], name: str) -> datetime:
    moment = _time(fields, name)
    if moment is None:
        raise BadLine(f"{name} is missing")
    return moment


def _time(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise BadLine(f"{name} is not an ISO 8601 time") from None
    if moment.tzinfo is None:
        raise BadLine(f"{name} has no time zone")
    # At either end of the calendar another zone, or a few minutes more, is an OverflowError.
    if not EARLIEST <= moment.year <= LATEST:
        raise BadLine(f"{name} is not between the years {EARLIEST} and {LATEST}")
    return moment


def _written_body(body: bytes) -> Mapping[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _body(fields: Mapping[str, Any]) -> bytes:
    text, coded = fields.get("body"), fields.get("body_base64")
    if isinstance(text, str):
        return text.encode()
    if not isinstance(coded, str):
        raise BadLine("neither body nor body_base64 is text")
    try:
        return base64.b64decode(coded, validate=True)
    except binascii.Error:
        raise BadLine("body_base64 is not base64") from None

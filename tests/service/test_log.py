"""One canonical log line for each request; an unhandled error is logged by its frames."""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import StringIO
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.log import line_logger, request_line
from tests.adapters.clerk.payloads import ADA, envelope, webhook_bytes, with_data
from tests.people import new_id
from tests.postgres_server import TemporaryStore
from tests.running import WEBHOOKS, Service, bearer, running_service, svix_headers


@dataclass(frozen=True)
class Logged:
    """A service and what it logs."""

    service: Service
    file: StringIO

    def lines(self) -> list[dict[str, Any]]:
        """The lines since the last call. A line that is not JSON fails the test."""
        text = self.file.getvalue()
        self.file.seek(0)
        self.file.truncate()
        assert text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def line(self) -> dict[str, Any]:
        (line,) = self.lines()
        return line


@pytest.fixture(scope="module")
async def running(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Logged]:
    file = StringIO()
    async with running_service(shared_clerk, lasting_store.url, log=file) as service:
        yield Logged(service, file)


@pytest.fixture
def logged(running: Logged, clerk: ClerkEmulator, store_url: str) -> Logged:
    """On an empty store, with an empty log."""
    running.file.seek(0)
    running.file.truncate()
    return running


async def test_a_delivery_is_one_line(logged: Logged) -> None:
    answer = await logged.service.deliver(webhook_bytes("user.created"), svix_id="msg_1")
    line = logged.line()
    assert line.pop("duration_ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "route": "/webhooks/clerk",
        "status": 204,
        "outcome": "created",
        "svix_id": "msg_1",
        "user_id": ADA,
        "request_id": answer.headers["x-request-id"],
    }


async def test_a_first_request_is_one_line(logged: Logged, clerk: ClerkEmulator) -> None:
    person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
    answer = await logged.service.me(clerk.session_token(person["id"]))
    line = logged.line()
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["route"], line["status"]) == ("/v1/me", 200)
    assert (line["user_id"], line["method"]) == (person["id"], "GET")


async def test_the_actor_is_logged(logged: Logged, clerk: ClerkEmulator) -> None:
    await logged.service.session(clerk.session_token(ADA, act={"sub": "user_admin"}))
    line = logged.line()
    assert (line["user_id"], line["actor"]) == (ADA, "user_admin")


DELIVERIES: dict[str, tuple[bytes, str, str | None]] = {
    "stale": (webhook_bytes("user.updated.stale_older_than_updated"), "stale", ADA),
    "deleted": (webhook_bytes("user.deleted"), "deleted", ADA),
    "not followed": (webhook_bytes("session.created"), "event_not_followed", None),
    "another instance": (
        json.dumps(envelope(instance_id="ins_x")).encode(),
        "other_instance",
        None,
    ),
    "poison": (json.dumps(with_data(first_name="\x00")).encode(), "quarantined", ADA),
    "poison of nobody": (b"poison", "quarantined", None),
}


@pytest.mark.parametrize("kind", DELIVERIES)
async def test_a_delivery_is_logged_with_its_outcome_and_user(logged: Logged, kind: str) -> None:
    body, outcome, user_id = DELIVERIES[kind]
    await logged.service.deliver(webhook_bytes("user.updated"))
    await logged.service.deliver(body, svix_id="msg_2")
    _, line = logged.lines()
    assert (line["svix_id"], line["outcome"], line.get("user_id")) == ("msg_2", outcome, user_id)


async def test_a_refused_delivery_is_logged_with_its_cause_and_nothing_unverified(
    logged: Logged,
) -> None:
    headers = svix_headers(logged.service.secret, b"{}", svix_id="msg_unproven")
    await logged.service.http.post(WEBHOOKS, content=b"{ }", headers=headers)
    line = logged.line()
    assert (line["status"], line["outcome"]) == (400, "signature_invalid")
    assert "msg_unproven" not in json.dumps(line)


REFUSALS = [
    ("GET /v1/me", "/v1/me", 401, "session_invalid"),
    ("GET /nope", "unmatched", 404, "not_found"),
    ("POST /v1/me", "/v1/me", 405, "method_not_allowed"),
]


@pytest.mark.parametrize(("asked", "route", "status", "outcome"), REFUSALS)
async def test_a_refusal_is_logged_with_its_code(
    logged: Logged, asked: str, route: str, status: int, outcome: str
) -> None:
    await logged.service.http.request(*asked.split())
    line = logged.line()
    assert (line["route"], line["status"], line["outcome"]) == (route, status, outcome)


async def test_a_refusal_by_the_framework_has_its_cause_in_that_line_alone(
    logged: Logged, clerk: ClerkEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "clerk_user_sync")
    overrides = logged.service.app.dependency_overrides
    overrides[object] = object  # then the framework serves all routes
    await logged.service.me(clerk.session_token(ADA, headers={"cat": "of.a.template"}))
    overrides.clear()
    line = logged.line()
    assert (line["outcome"], line["cause"]) == ("session_invalid", "cat")
    assert [record for record in caplog.records if record.name == "clerk_user_sync"] == []


async def test_a_deleted_users_request_is_logged_with_user_and_code(
    logged: Logged, clerk: ClerkEmulator
) -> None:
    await logged.service.deliver(webhook_bytes("user.deleted"))
    await logged.service.me(clerk.session_token(ADA))
    line = logged.lines()[-1]
    assert (line["user_id"], line["outcome"], line["status"]) == (ADA, "user_deleted", 401)


HOSTILE = 'a\r\nb\x1b[31m\u2028\x85\x00"}{\xff'


async def test_hostile_headers_and_paths_break_no_line(
    logged: Logged, clerk: ClerkEmulator
) -> None:
    raw = HOSTILE.encode("utf-8")
    names = [b"x-request-id", b"svix-id", b"svix-timestamp", b"svix-signature", b"user-agent"]
    headers = [(name, raw) for name in [*names, b"authorization", b"host", b"x-forwarded-for"]]
    await logged.service.http.post(WEBHOOKS, content=raw, headers=headers)
    await logged.service.http.get("/v1/me", headers=headers)
    await logged.service.http.get("/%0d%0a%1b[31m", params={"q": HOSTILE}, headers=headers)
    token = clerk.session_token(ADA, headers={"kid": HOSTILE})
    await logged.service.http.get("/v1/me", headers=bearer(token))
    lines = logged.lines()
    assert len(lines) == 4
    assert "31m" not in json.dumps(lines)


async def test_a_hostile_event_type_breaks_no_line(logged: Logged) -> None:
    await logged.service.deliver(envelope(type=HOSTILE))
    assert "31m" not in json.dumps(logged.line())


async def test_the_query_string_is_never_logged(logged: Logged) -> None:
    await logged.service.http.get("/v1/me", params={"token": "canary"})
    await logged.service.http.get("/canary", params={"token": "canary"})
    assert "canary" not in json.dumps(logged.lines())


class Account:
    def __init__(self, password: str) -> None:
        self.password = password

    async def fail(self, secret: str = "canary-local") -> None:
        raise LookupError(f"canary-message {secret} {self.password}")


async def failing() -> None:
    try:
        await Account("canary-attribute").fail()
    except LookupError as cause:
        raise RuntimeError("canary-cause") from cause


async def test_an_unhandled_error_is_logged_by_its_type_and_frames(
    clerk: ClerkEmulator, store_url: str
) -> None:
    file = StringIO()
    async with running_service(clerk, store_url, log=file) as service:
        service.app.get("/failing")(failing)
        answer = await service.http.get("/failing")
    told, line = Logged(service, file).lines()
    assert (told["event"], told["level"], told["error"]) == (
        "unhandled_error",
        "error",
        "RuntimeError",
    )
    assert told["frames"][-1].endswith(" failing")
    assert told["request_id"] == line["request_id"] == answer.headers["x-request-id"]
    assert (line["route"], line["status"]) == ("/failing", 500)
    assert "canary" not in file.getvalue()


async def test_a_handled_error_is_logged_by_its_type_and_frames() -> None:
    """As a background job or a run of the console logs it."""
    file = StringIO()
    try:
        await failing()
    except RuntimeError:
        line_logger("info", "json", file).exception("job_failed")
    told = json.loads(file.getvalue())
    assert (told["error"], told["frames"][-1].endswith(" failing")) == ("RuntimeError", True)
    assert "canary" not in file.getvalue()


def test_a_person_at_a_terminal_reads_the_same_without_escapes() -> None:
    file = StringIO()
    line_logger("info", "console", file).info("request", route="/v1/me", cause="a\x1b[31m\r\nb")
    assert file.getvalue().count("\n") == 1
    assert "\x1b[31m\r" not in file.getvalue()


def test_below_its_level_nothing_is_logged() -> None:
    file = StringIO()
    line_logger("warning", "json", file).info("request")
    assert file.getvalue() == ""


FACTS = {
    "route": "/v1/me",
    "status": 200,
    "duration_ms": 1.25,
    "user_id": "user_1",
    "ü": "é\u2028\n",
}


@pytest.mark.parametrize("fmt", ["json", "console", "auto"])
@pytest.mark.parametrize("level", ["debug", "info", "warning"])
def test_a_requests_line_is_the_line_that_structlog_would_write(fmt: str, level: str) -> None:
    short, whole = StringIO(), StringIO()
    request_line(level, fmt, short)(dict(FACTS))
    line_logger(level, fmt, whole).info("request", **FACTS)
    assert without_time(short) == without_time(whole)
    assert bool(short.getvalue()) == (level != "warning")


def without_time(file: StringIO) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", "TIME", file.getvalue())

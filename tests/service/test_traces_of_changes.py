"""The trace of a delivery goes on in whoever is told of the change, in another process too."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import ClerkEmulator
from service.bootstrap.work import working
from service.changes import Changes
from service.log import line_logger
from service.log_writer import LogWriter
from service.metrics import Metrics
from service.traces import Traces
from tests.adapters.push.receiver import receiving
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, settings_for, svix_headers
from tests.service.traced import NOT_RECORDED, RECORDED, TRACE, Traced, tracing

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"


class Handled:
    """A handler of changes that fails at its first try, and what it saw at each."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.seen: list[tuple[Change, int]] = []
        self.changes.on(name="mail", begin="oldest", pauses=(0.1,))(self.handle)

    async def handle(self, change: Change, _: LocalUser | None) -> None:
        self.seen.append((change, get_current_span().get_span_context().span_id))
        if len(self.seen) == 1:
            raise RuntimeError("canary@example.com")

    async def times(self, number: int) -> None:
        async with asyncio.timeout(30):
            while len(self.seen) < number:
                await asyncio.sleep(0.02)


async def delivered(here: Traced, clerk: ClerkEmulator, headers: dict[str, str]) -> str:
    """The id of a user whose webhook arrived with these headers."""
    user_id: str = clerk.create_user(
        email_address=[f"{new_id()}@example.com"], first_name="canary"
    )["id"]
    [delivery] = clerk.deliveries(user_id)
    signed = svix_headers(here.service.secret, delivery.body) | headers
    answer = await here.service.http.post(WEBHOOKS, content=delivery.body, headers=signed)
    assert answer.status_code == 204
    return user_id


@asynccontextmanager
async def worker(
    clerk: ClerkEmulator, store_url: str, changes: Changes, **settings: Any
) -> AsyncIterator[list[ReadableSpan]]:
    """A worker, with the spans that it has recorded once it has ended."""
    exporter, spans = InMemorySpanExporter(), list[ReadableSpan]()
    traces = Traces(0.0, exporter)
    log = line_logger("error", "json", LogWriter(None, str))
    given = settings_for(clerk, store_url, **settings)
    async with working(given, changes, Metrics(), log, traces):
        yield spans
    traces.close()
    spans += exporter.get_finished_spans()


async def test_a_handler_in_another_process_goes_on_with_the_trace_of_the_delivery(
    clerk: ClerkEmulator, store_url: str
) -> None:
    handled = Handled()
    async with tracing(clerk, store_url) as here:
        user_id = await delivered(here, clerk, RECORDED)
        commit = here.spans()["store.sync"]
    async with worker(clerk, store_url, handled.changes) as spans:
        await handled.times(2)
    failed, done = spans
    assert commit.context is not None
    for span, (change, current) in zip(spans, handled.seen, strict=True):
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == TRACE
        assert span.parent is not None
        assert span.parent.span_id == commit.context.span_id
        assert span.context.span_id == current
        assert change.traceparent == f"00-{TRACE}-{current:016x}-01"
    assert (failed.name, done.name) == ("change.deliver", "change.deliver")
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "RuntimeError"
    assert done.attributes == {
        "subscription": "mail",
        "kind": "created",
        "position": 1,
        "attempt": 2,
    }
    told = json.dumps([json.loads(span.to_json()) for span in spans])
    for secret in (user_id, "canary", "@example.com"):
        assert secret not in told


async def test_a_push_carries_the_trace_of_the_delivery(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with tracing(clerk, store_url) as here:
        await delivered(here, clerk, RECORDED)
    async with receiving() as receiver:
        endpoint = {"name": "crm", "url": receiver.url, "secrets": [SECRET], "begin": "oldest"}
        pushes = {"changes_push": json.dumps([endpoint]), "changes_push_private": True}
        async with worker(clerk, store_url, Changes(), **pushes) as spans, asyncio.timeout(30):
            while not receiver.got:
                await asyncio.sleep(0.02)
    [(headers, body)] = receiver.got
    [span] = spans
    assert span.context is not None
    assert headers["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"
    assert TRACE.encode() not in body


@pytest.mark.parametrize("headers", [{}, NOT_RECORDED])
async def test_what_is_not_recorded_leaves_no_trace_in_the_store(
    clerk: ClerkEmulator,
    store_url: str,
    sql: Sql,
    headers: dict[str, str],
) -> None:
    handled = Handled()
    async with tracing(clerk, store_url, chance=0.5) as here:
        await delivered(here, clerk, headers)
    assert await sql.fetchval("select traceparent from user_changes") is None
    async with worker(clerk, store_url, handled.changes) as spans:
        await handled.times(2)
    assert spans == []
    assert handled.seen[-1] == (handled.seen[0][0], 0)

"""Answers of any ASGI application, as the client receives them."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from scripts.clerk_emulator import ClerkEmulator
from service.edge.budget import Budget
from service.edge.protocol import EdgeProtocol
from tests.running import settings_for
from tests.service.listening import Listening, listening
from tests.service.peers import NOWHERE
from tests.service.served import head

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Bare(FastAPI):
    """An application without our layers: what it sends is what the edge gets."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._bare = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._bare(scope, receive, send)


@asynccontextmanager
async def serving(
    clerk: ClerkEmulator, app: App, budget: Budget | None = None
) -> AsyncIterator[Listening]:
    async with listening(Bare(app), settings_for(clerk, NOWHERE), budget) as at:
        yield at


def sends(*parts: bytes, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()) -> App:
    """An application that sends these parts of a body."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [*headers]})
        for number, part in enumerate(parts, start=1):
            more = number < len(parts)
            await send({"type": "http.response.body", "body": part, "more_body": more})

    return app


async def test_a_body_of_one_part_gets_its_length(clerk: ClerkEmulator) -> None:
    async with serving(clerk, sends(b"whole")) as at:
        answer = await at.send(head("GET", "/"))
    assert (answer.headers["content-length"], answer.body) == ("5", b"whole")


async def test_a_body_of_parts_is_sent_in_chunks(clerk: ClerkEmulator) -> None:
    async with serving(clerk, sends(b"one", b"", b"two", b"")) as at:
        answer = await at.send(head("GET", "/"))
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_for_http_1_0_it_ends_with_the_connection(clerk: ClerkEmulator) -> None:
    async with serving(clerk, sends(b"one", b"two")) as at:
        answer = await at.send(b"GET / HTTP/1.0\r\n\r\n")
    assert "transfer-encoding" not in answer.headers
    assert (answer.headers["connection"], answer.body) == ("close", b"onetwo")


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("status", [200, 204, 304])
async def test_an_answer_that_has_no_body_is_sent_none(
    clerk: ClerkEmulator, method: str, status: int
) -> None:
    length = [(b"content-length", b"5")] if status == 200 else []
    async with serving(clerk, sends(b"12345", status=status, headers=length)) as at:
        answer = await at.send(head(method, "/"))
    has_one = (method, status) == ("GET", 200)
    assert (answer.status, answer.body) == (status, b"12345" if has_one else b"")
    assert answer.headers.get("content-length") == ("5" if status == 200 else None)


@pytest.mark.parametrize("body", [b"1234", b"123456"])
async def test_a_body_that_is_not_as_long_as_was_told_is_not_sent(
    clerk: ClerkEmulator, body: bytes
) -> None:
    """A part of it would be read as the next answer."""
    app = sends(body, headers=[(b"content-length", b"5")])
    async with serving(clerk, app) as at:
        answer = await at.send(head("GET", "/"))
    assert (answer.headers["content-length"], answer.body) == ("5", b"")


@pytest.mark.parametrize("broken", [b"a\r\nSet-Cookie: a=b", b"a\nb", b"a\rb"])
async def test_a_line_break_in_a_header_is_never_sent(clerk: ClerkEmulator, broken: bytes) -> None:
    async with serving(clerk, sends(b"", headers=[(b"x-told", broken)])) as at:
        answer = await at.send(head("GET", "/"))
    assert (answer.status, b"x-told" in answer.raw) == (500, False)


async def fails(_: Scope, __: Receive, ___: Send) -> None:
    raise LookupError


async def test_an_application_that_fails_is_answered_with_a_problem(clerk: ClerkEmulator) -> None:
    async with serving(clerk, fails) as at:
        answers = await at.send(head("GET", "/"), head("GET", "/"))
        assert (answers.statuses, answers.headers["connection"]) == ([500], "close")
        assert (await at.send(head("GET", "/"))).status == 500


async def test_an_application_that_answers_nothing_is_answered_for(clerk: ClerkEmulator) -> None:
    async def silent(_: Scope, __: Receive, ___: Send) -> None:
        return

    async with serving(clerk, silent) as at:
        assert (await at.send(head("GET", "/"))).status == 500


async def test_a_client_that_waits_is_asked_for_its_body(clerk: ClerkEmulator) -> None:
    async def echoes(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(await Request(scope, receive).body())(scope, receive, send)

    expecting = head("POST", "/", "Expect: 100-continue", "Content-Length: 4")
    async with serving(clerk, echoes) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(expecting)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await reader.read()).endswith(b"\r\n\r\nbody")
        writer.close()
        at_once = await at.send(expecting + b"body")
    assert (at_once.status, at_once.body) == (200, b"body")


async def test_a_body_that_has_arrived_is_read_though_the_server_stops(
    clerk: ClerkEmulator,
) -> None:
    """Also the part that is not parsed when it begins to stop."""

    async def stops(scope: Scope, receive: Receive, send: Send) -> None:
        for one in gc.get_objects():
            if isinstance(one, EdgeProtocol):
                one.shutdown()
        await Response(await Request(scope, receive).body())(scope, receive, send)

    budget = Budget(pieces_in_a_turn=1, body_seconds=1)
    kept = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n"
    async with serving(clerk, stops, budget) as at:
        answer = await at.send(kept + b"x" * 20_000)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert answer.body == b"x" * 20_000


@pytest.mark.parametrize(("app", "status"), [(sends(b"", status=413), b"413"), (fails, b"500")])
async def test_the_last_answer_may_be_early_and_the_rest_of_the_body_is_still_taken(
    clerk: ClerkEmulator, app: App, status: bytes
) -> None:
    """Many clients read nothing before they have sent everything (RFC 9112 §9.6)."""
    async with serving(clerk, app, Budget(linger_seconds=10)) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(head("POST", "/", "Content-Length: 300000"))
        for _ in range(3):
            await asyncio.sleep(0.05)
            writer.write(b"x" * 100_000)
            await writer.drain()
        assert (await asyncio.wait_for(reader.read(), 5)).split()[1] == status
        writer.close()


async def test_a_peer_that_leaves_is_told_to_the_application(clerk: ClerkEmulator) -> None:
    """As often as it asks: two of its tasks may wait for the same."""
    seen = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, _: Send) -> None:
        with pytest.raises(ClientDisconnect):
            await Request(scope, receive).body()
        assert await receive() == {"type": "http.disconnect"}
        seen.set()

    async with serving(clerk, waits) as at:
        await at.hang_up(head("POST", "/", "Content-Length: 4"), b"bo")
        await asyncio.wait_for(seen.wait(), 5)


async def test_a_stream_that_is_left_ends(clerk: ClerkEmulator) -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(endless())(scope, receive, send)
        ended.set()

    async with serving(clerk, streams) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(head("GET", "/"))
        await reader.readexactly(100_000)
        writer.transport.abort()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_connection_is_closed_after_its_idle_time(clerk: ClerkEmulator) -> None:
    async with serving(clerk, sends(b""), Budget(idle_seconds=1)) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.6)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

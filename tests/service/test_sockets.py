"""Faults of real connections: never a 5xx or a hang, and the next request is served."""

import asyncio

import pytest
from fastapi import Response
from starlette.types import Receive, Scope, Send

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from tests.adapters.clerk.payloads import ADA
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import UNAUTHORIZED, WEBHOOKS, problem, settings_for
from tests.service.listening import listening
from tests.service.served import (
    BODY,
    KEPT,
    MEBIBYTE,
    Served,
    chunked,
    handled_more,
    head,
    is_alive,
    told,
    webhooks_handled,
)
from tests.service.tables import count_rows


class TestBody:
    async def test_with_its_length_is_taken(self, served: Served, sql: Sql) -> None:
        assert (await served.at.send(served.post(), BODY)).status == 204
        assert await count_rows(sql) == (1, 1)

    async def test_in_chunks_is_taken(self, served: Served, sql: Sql) -> None:
        post = served.post("Transfer-Encoding: chunked", length=False)
        parts = [BODY[start : start + 100] for start in range(0, len(BODY), 100)]
        assert (await served.at.send(post, *chunked(*parts))).status == 204
        assert await count_rows(sql) == (1, 1)

    async def test_byte_by_byte_is_taken(self, served: Served) -> None:
        whole = served.post() + BODY
        pieces = [whole[start : start + 7] for start in range(0, len(whole), 7)]
        assert (await served.at.send(*pieces)).status == 204

    async def test_announced_too_long_is_refused_before_it_is_sent(self, served: Served) -> None:
        """The service does not wait for it, or the answer would be too slow."""
        post = served.post(f"Content-Length: {MEBIBYTE + 1}", length=False)
        assert told(await served.at.send(post)) == problem(413, "body_too_large")

    async def test_in_chunks_without_end_is_refused_at_a_mebibyte(
        self, served: Served, sql: Sql
    ) -> None:
        post = served.post("Transfer-Encoding: chunked", length=False)
        chunks = chunked(*[b"x" * 65_536] * 40)[:-1]
        assert told(await served.at.send(post, *chunks)) == problem(413, "body_too_large")
        assert await count_rows(sql) == (0, 0)

    async def test_shorter_than_announced_is_refused(self, served: Served, sql: Sql) -> None:
        before = await webhooks_handled(served)
        await served.at.hang_up(served.post(), BODY[:-1])
        await eventually(lambda: handled_more(served, before))
        assert await count_rows(sql) == (0, 0)
        assert await is_alive(served)

    async def test_with_more_behind_it_is_read_to_its_length(self, served: Served) -> None:
        assert (await served.at.send(served.post(), BODY + b"more")).status == 204


LENGTHS: dict[str, list[str]] = {
    "negative": ["Content-Length: -1"],
    "with a plus": ["Content-Length: +5"],
    "text": ["Content-Length: abc"],
    "empty": ["Content-Length:"],
    "hexadecimal": ["Content-Length: 0x10"],
    "endless": [f"Content-Length: {'9' * 5_000}"],
    "two that agree": [f"Content-Length: {len(BODY)}"] * 2,
    "two that contradict": [f"Content-Length: {len(BODY)}", "Content-Length: 1"],
    "two in one": [f"Content-Length: {len(BODY)}, {len(BODY)}"],
    "and chunks": [f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"],
    "and chunks the other way round": [
        "Transfer-Encoding: chunked",
        f"Content-Length: {len(BODY)}",
    ],
    "of another coding": ["Transfer-Encoding: gzip, identity"],
    "behind a space": [f"Content-Length : {len(BODY)}"],
    "folded": [f"Content-Length:\r\n {len(BODY)}"],
}


@pytest.mark.parametrize("kind", LENGTHS)
async def test_a_body_whose_length_is_in_doubt_is_refused(
    served: Served, sql: Sql, kind: str
) -> None:
    answer = await served.at.send(served.post(*LENGTHS[kind], length=False), BODY, end=True)
    assert answer.status == 400
    assert await count_rows(sql) == (0, 0)
    assert await is_alive(served)


async def test_two_authorization_headers_are_unauthorized(
    served: Served, clerk: ClerkEmulator
) -> None:
    line = f"Authorization: Bearer {clerk.session_token(ADA)}"
    assert (await served.at.send(head("GET", "/v1/session", line))).status == 200
    answer = await served.at.send(head("GET", "/v1/session", line, line))
    assert (answer.status, told(answer)) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("method", ["TRACE", "GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
async def test_another_method_is_not_allowed(served: Served, method: str) -> None:
    answer = await served.at.send(head(method, WEBHOOKS, "X-Canary: canary"))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert told(answer) == problem(405, "method_not_allowed")


async def test_connect_is_refused(served: Served) -> None:
    answer = await served.at.send(head("CONNECT", "evil.example:443"), end=True)
    assert 400 <= answer.status < 500


async def test_a_websocket_is_refused(served: Served) -> None:
    lines = [
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    asked = head("GET", "/v1/me", *lines).replace(b"Connection: close", b"Connection: Upgrade")
    answer = await served.at.send(asked, end=True)
    assert 400 <= answer.status < 500
    assert await is_alive(served)


async def test_the_server_does_not_tell_what_it_is(served: Served) -> None:
    for answer in (
        await served.at.send(head("GET", "/healthz")),
        await served.at.send(head("GET", "/nope")),
        await served.at.send(b"nonsense\r\n\r\n"),
    ):
        assert "server" not in answer.headers
        assert b"uvicorn" not in answer.raw.lower()


async def test_a_spoofed_address_is_not_believed(served: Served) -> None:
    lines = ["X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "Forwarded: for=10.0.0.1"]
    assert (await served.at.send(head("GET", "/v1/me", *lines))).status == 401


async def test_hanging_up_in_the_middle_affects_no_other_request(
    served: Served, clerk: ClerkEmulator, sql: Sql
) -> None:
    whole = served.post() + BODY
    await asyncio.gather(
        *(served.at.hang_up(whole[: len(whole) * part // 50]) for part in range(1, 50))
    )
    assert (await served.at.send(served.post(), BODY)).status == 204
    assert await is_alive(served)


async def test_five_hundred_idle_connections_leave_the_others_served(served: Served) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", served.at.port) for _ in range(500)]
    for _, writer in idle:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: ")
    assert await is_alive(served)
    for _, writer in idle:
        writer.close()


async def test_requests_sent_in_one_go_are_answered_in_turn(served: Served, sql: Sql) -> None:
    kept = served.post().replace(b"Connection: close\r\n", b"") + BODY
    answer = await served.at.send(KEPT + kept + KEPT + kept + head("GET", "/nope"))
    assert answer.statuses == [200, 204, 200, 204, 404]
    assert await count_rows(sql) == (1, 1)


async def test_a_refusal_comes_after_the_answers_before_it(served: Served, sql: Sql) -> None:
    kept = served.post().replace(b"Connection: close\r\n", b"") + BODY
    for nonsense in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        answer = await served.at.send(kept + KEPT + kept + nonsense + KEPT)
        assert answer.statuses == [204, 200, 204, 400]
    half = served.post("Transfer-Encoding: chunked", length=False) + b"nonsense"
    answer = await served.at.send(kept + KEPT + half + KEPT)
    assert answer.statuses == [204, 200, 400]


@pytest.mark.slow
async def test_a_delivery_too_slow_is_cut_off_after_ten_seconds(served: Served, sql: Sql) -> None:
    answer = await served.at.send(served.post(), BODY[:10])
    assert told(answer) == problem(408, "body_too_slow")
    assert await count_rows(sql) == (0, 0)


async def test_an_answer_that_broke_is_not_begun_again(clerk: ClerkEmulator) -> None:
    class Broken(Response):
        async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
            headers = [(b"content-length", b"10")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            raise LookupError

    settings = settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere", log_level="error")
    app = create_app(settings)

    @app.get("/broken")
    async def broken() -> Response:
        return Broken()

    async with listening(app, settings) as at:
        answer = await at.send(head("GET", "/broken"))
        assert (answer.status, answer.body) == (200, b"")
        assert (await at.send(head("GET", "/healthz"))).status == 200

"""Faults of real connections: never a 5xx or a hang, and the next request is served."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.edge.budget import Budget
from service.errors import answer_everything
from service.routes.webhooks import json_bytes
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.e2e.processes import eventually
from tests.postgres_server import TemporaryStore
from tests.running import REFUSED, UNAUTHORIZED, WEBHOOKS, problem, settings_for, svix_headers
from tests.service.listening import Answer, Listening, listening
from tests.service.tables import Sql, count_rows

BODY = webhook_bytes("user.created")
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Served:
    """Our application on a port, and the secret its webhooks are signed with."""

    at: Listening
    secret: str

    def post(self, *extra: str, body: bytes = BODY, length: bool = True) -> bytes:
        """The head of a signed delivery; `extra` are header lines."""
        lines = [f"{name}: {value}" for name, value in svix_headers(self.secret, body).items()]
        lengths = [f"Content-Length: {len(body)}"] if length else []
        return head("POST", WEBHOOKS, *lines, *lengths, *extra)


def head(method: str, target: str, *lines: str, host: str = "service") -> bytes:
    start = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    return "\r\n".join([*start, *lines, "", ""]).encode("latin-1")


def chunked(*parts: bytes) -> list[bytes]:
    return [*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


@pytest.fixture(scope="module")
async def running(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Served]:
    settings = settings_for(shared_clerk, lasting_store.url)
    async with listening(create_app(settings), settings) as at:
        yield Served(at, shared_clerk.config.webhook_secrets[0])


@pytest.fixture
def served(running: Served, clerk: ClerkEmulator, store_url: str) -> Served:
    """On an empty store."""
    return running


async def webhooks_handled(served: Served) -> float:
    answer = await served.at.send(head("GET", "/metrics"))
    name = r'clerk_user_sync_http_request_duration_seconds_count\{route="/webhooks/clerk"\} (\S+)'
    found = re.search(name, answer.body.decode())
    return float(found[1]) if found else 0.0


async def handled_more(served: Served, before: float) -> bool:
    return await webhooks_handled(served) > before


async def is_alive(served: Served) -> bool:
    return (await served.at.send(head("GET", "/healthz"))).status == 200


def told(answer: Answer) -> Any:
    assert answer.headers["content-type"] == "application/problem+json"
    return json.loads(answer.body)


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


GARBAGE = {
    "a greeting": b"HELO service\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 200,
    "version 9": b"GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n",
    "a method of its own": b"FETCH /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare line ends in a header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
    "NUL in a header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
    "a space in a name": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "the same host twice": b"GET /healthz HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
    "two hosts in an old version": b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
    "no host in an upgrade": b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
async def test_a_request_that_is_not_http_is_refused(served: Served, kind: str) -> None:
    answer = await served.at.send(GARBAGE[kind])
    assert (answer.status, told(answer)) == (400, problem(400, "bad_request"))
    assert await is_alive(served)


HEADS = {
    "a header of 70 kB": ["X-Long: " + "x" * 70_000],
    "headers of 70 kB": [f"X-{number}: {'x' * 1_000}" for number in range(70)],
    "a thousand headers": [f"X-{number}: x" for number in range(1_000)],
    "a name of 70 kB": ["X" * 70_000 + ": x"],
}


@pytest.mark.parametrize("kind", HEADS)
async def test_too_large_a_head_is_refused(served: Served, sql: Sql, kind: str) -> None:
    answer = await served.at.send(served.post(*HEADS[kind]), BODY)
    assert (answer.status, told(answer)) == (431, problem(431, "head_too_long"))
    assert await count_rows(sql) == (0, 0)
    assert await is_alive(served)


@pytest.mark.parametrize("opening", [b"X: ", b"X", b"Cookie: a=b; "])
async def test_an_endless_head_is_cut_off(served: Served, opening: bytes) -> None:
    begun = head("GET", "/v1/me").removesuffix(b"\r\n") + opening
    answer = await served.at.send(begun, *[b"x" * 8_192] * 100, pause=0.001)
    assert (answer.status, told(answer)) == (431, problem(431, "head_too_long"))


async def test_an_address_without_end_is_cut_off(served: Served) -> None:
    answer = await served.at.send(b"GET /", *[b"x" * 8_192] * 100, pause=0.001)
    assert (answer.status, told(answer)) == (431, problem(431, "head_too_long"))


ENDLESS = {
    "trailers": (b"0\r\n", b"X: y\r\n"),
    "a trailer": (b"0\r\nX: ", b"x"),
    "an extension of a chunk": (b"1;", b"x"),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_endless_trailers_are_cut_off(served: Served, sql: Sql, kind: str) -> None:
    post = served.post("Transfer-Encoding: chunked", length=False)
    begun, more = ENDLESS[kind]
    pieces = [*chunked(BODY)[:-1], begun, *[more * 60] * 600]
    answer = await served.at.send(post, *pieces, pause=0.001)
    assert answer.status == 400
    assert await count_rows(sql) == (0, 0)
    assert await is_alive(served)


async def test_too_many_trailers_are_refused(served: Served, sql: Sql) -> None:
    post = served.post("Transfer-Encoding: chunked", length=False)
    taken, refused = (b"X: y\r\n" * count for count in (50, 101))
    answer = await served.at.send(post, *chunked(BODY)[:-1], b"0\r\n", taken, b"\r\n")
    assert answer.status == 204
    answer = await served.at.send(post, *chunked(BODY)[:-1], b"0\r\n", refused, b"\r\n")
    assert answer.status == 400
    assert await sql.fetchval("select sum(deliveries) from sync_journal") == 1


@pytest.mark.parametrize("blank", [b"\r\n", b"\n", b"\r\n\r\n"])
async def test_a_blank_line_before_a_request_is_ignored(served: Served, blank: bytes) -> None:
    """RFC 9112 §2.2."""
    answer = await served.at.send(blank, head("GET", "/healthz"), pause=0.1)
    assert answer.status == 200


async def test_a_head_as_large_as_usual_is_taken(served: Served, sql: Sql) -> None:
    lines = [f"X-{number}: {'x' * 400}" for number in range(60)]
    assert (await served.at.send(served.post(*lines), BODY)).status == 204


async def test_a_large_body_does_not_count_as_a_large_head(served: Served) -> None:
    body = json.dumps({"type": "session.created", "pad": "x" * 900_000}).encode()
    for _ in range(2):
        assert (await served.at.send(served.post(body=body) + body)).status == 204


@pytest.mark.parametrize("name", ["svix-id", "svix-timestamp", "svix-signature", "SVIX-ID"])
async def test_a_header_that_comes_twice_is_refused(served: Served, sql: Sql, name: str) -> None:
    answer = await served.at.send(served.post(f"{name}: msg_fake"), BODY)
    assert (answer.status, told(answer)) == (400, REFUSED)
    assert await count_rows(sql) == (0, 0)


@pytest.mark.parametrize("host", ["evil.example", "", "a:1", "[::1]:80", "a_b.c%2e", "127.0.0.1:"])
async def test_no_host_opens_what_is_protected(served: Served, sql: Sql, host: str) -> None:
    answer = await served.at.send(head("GET", "/v1/me", host=host))
    assert (answer.status, told(answer)) == (401, UNAUTHORIZED)
    answer = await served.at.send(head("POST", WEBHOOKS, "Content-Length: 2", host=host), b"{}")
    assert (answer.status, told(answer)) == (400, REFUSED)


@pytest.mark.parametrize("host", ["a/?b", "/v1/session?", "[::1", "a b", "a:b", "a@b", "a, b"])
async def test_an_invalid_host_is_refused(served: Served, host: str) -> None:
    answer = await served.at.send(head("GET", "/healthz", host=host))
    assert (answer.status, told(answer)) == (400, problem(400, "bad_request"))


async def test_an_old_version_needs_no_host(served: Served) -> None:
    assert (await served.at.send(b"GET /healthz HTTP/1.0\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    "target", ["http://evil.example/v1/me", "/v1/me?x=/healthz", "/v1/%6de", "/v1/me;a=b#c"]
)
async def test_no_target_opens_what_is_protected(served: Served, target: str) -> None:
    assert (await served.at.send(head("GET", target))).status in (401, 404)


SPELLINGS = [
    *("/%6Detrics", "/%6detrics", "/metric%73", "/%2Fmetrics", "//metrics", "/metrics/"),
    *("/%2e/metrics", "/./metrics", "/v1/../metrics", "/METRICS", "/metrics%00", "/metrics%20"),
    *("/metrics;a", "/%25metrics", "/v1%2fme", "/%68ealthz", "/webhooks%2Fclerk"),
]


@pytest.mark.parametrize("target", SPELLINGS)
async def test_a_path_has_one_spelling(served: Served, target: str) -> None:
    """Otherwise a proxy that blocks `/metrics` would have to know all spellings."""
    for method in ("GET", "POST"):
        answer = await served.at.send(head(method, target))
        assert (answer.status, told(answer)) == (404, problem(404, "not_found"))


async def test_every_answer_forbids_guessing_its_type(served: Served, clerk: ClerkEmulator) -> None:
    authorized = f"Authorization: Bearer {clerk.session_token(ADA)}"
    asked = [
        *(head("GET", path) for path in ("/healthz", "/readyz", "/metrics", "/nope", "/%6Dope")),
        *(head("GET", "/v1/session", authorized), head("GET", "/v1/me"), head("PUT", "/v1/me")),
        *(served.post() + BODY, served.post("Content-Length: 1"), b"nonsense\r\n\r\n"),
    ]
    for one in asked:
        answer = await served.at.send(one)
        assert answer.raw.lower().count(b"x-content-type-options: nosniff\r\n") == 1


UPGRADE = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]
"""The headers that Java's HTTP client sends by default."""


def upgrading(asked: bytes) -> bytes:
    """The same request with an upgrade to HTTP/2."""
    lines = "\r\n".join(UPGRADE).encode()
    return asked.replace(b"Connection: close", lines)


@pytest.mark.parametrize("cut", [0, 1, 20, -len(BODY), -len(BODY) - 1, -len(BODY) - 2, -1])
async def test_an_upgrade_is_ignored_and_the_body_is_read(
    served: Served, sql: Sql, cut: int
) -> None:
    whole = upgrading(served.post()) + BODY
    answer = await served.at.send(whole[:cut], whole[cut:], head("GET", "/v1/me"), pause=0.05)
    assert answer.statuses == [204, 401]
    assert await count_rows(sql) == (1, 1)


async def test_an_upgrade_with_a_body_in_chunks_is_ignored(served: Served, sql: Sql) -> None:
    post = upgrading(served.post("Transfer-Encoding: chunked", length=False))
    parts = [BODY[start : start + 100] for start in range(0, len(BODY), 100)]
    answer = await served.at.send(post, *chunked(*parts), head("GET", "/v1/me"), pause=0.001)
    assert answer.statuses == [204, 401]
    assert await count_rows(sql) == (1, 1)


async def test_upgrades_sent_in_one_go_are_answered_in_turn(served: Served, sql: Sql) -> None:
    get = upgrading(head("GET", "/healthz"))
    post = upgrading(served.post()) + BODY
    asked = [get, post, get, get, post, get * 80, head("GET", "/nope")]
    answer = await served.at.send(b"".join(asked))
    assert answer.statuses == [200, 204, 200, 200, 204, *[200] * 80, 404]
    assert await count_rows(sql) == (1, 1)


async def test_a_long_head_with_an_upgrade_is_refused(served: Served) -> None:
    answer = await served.at.send(upgrading(served.post(*HEADS["headers of 70 kB"])) + BODY)
    assert (answer.status, told(answer)) == (431, problem(431, "head_too_long"))


async def test_a_trailer_is_not_a_header(served: Served, sql: Sql) -> None:
    """RFC 9110 §6.5.1: a trailer is not a header, not even if the header is missing."""
    signed = svix_headers(served.secret, BODY)
    trailer = f"svix-id: {signed['svix-id']}\r\n\r\n".encode()
    lines = [f"{name}: {value}" for name, value in signed.items() if name != "svix-id"]
    post = head("POST", WEBHOOKS, *lines, "Transfer-Encoding: chunked")
    answer = await served.at.send(post, *chunked(BODY)[:-1], b"0\r\n", trailer)
    assert (answer.status, told(answer)) == (400, REFUSED)


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


IN_A_HURRY = 0.3
PATIENT = 10.0
"""Seconds that a head, or a body, may take: less than ours, and more than a machine can stall."""


@pytest.fixture
async def reading(clerk: ClerkEmulator) -> AsyncIterator[Listening]:
    """An application that reads a body as ours does, within so many seconds."""
    app = FastAPI()
    answer_everything(app)

    @app.post("/{seconds}")
    async def read(request: Request, seconds: float) -> Response:
        return Response(await json_bytes(request, max_seconds=seconds))

    settings = settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere")
    async with listening(app, settings) as at:
        yield at


@pytest.mark.parametrize(
    "chunks", [[], [b"{"], [b" "] * 500], ids=["silent", "begun and silent", "dripping"]
)
async def test_too_slow_a_body_is_cut_off(reading: Listening, chunks: list[bytes]) -> None:
    """At any speed, for 25 seconds."""
    asked = head("POST", f"/{IN_A_HURRY}", "Content-Length: 1000")
    started = time.monotonic()
    answer = await reading.send(asked, *chunks, pause=0.05)
    assert told(answer) == problem(408, "body_too_slow")
    assert IN_A_HURRY <= time.monotonic() - started < 10


async def test_a_slow_body_in_time_is_read(reading: Listening) -> None:
    asked = head("POST", f"/{PATIENT}", "Content-Length: 4")
    answer = await reading.send(asked, *[b"1"] * 4, pause=0.02)
    assert (answer.status, answer.body) == (200, b"1111")


HURRIED = Budget(head_seconds=1.0, body_seconds=3.0, write_seconds=1.0, linger_seconds=0.5)


@pytest.fixture
async def in_a_hurry(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Listening]:
    settings = settings_for(clerk, store_url)
    async with listening(create_app(settings), settings, HURRIED) as at:
        yield at


@pytest.fixture
async def patient(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Listening]:
    settings = settings_for(clerk, store_url)
    async with listening(create_app(settings), settings, Budget(head_seconds=PATIENT)) as at:
        yield at


KEPT = b"GET /healthz HTTP/1.1\r\nHost: service\r\n\r\n"
"""A request after which the connection stays open."""

SLOW_HEADS: dict[str, list[bytes]] = {
    "nothing at all": [],
    "half an address": [b"GET /hea"],
    "half a header": [b"GET /healthz HTTP/1.1\r\nHost: ser"],
    "a header at a time": [
        b"GET /healthz HTTP/1.1\r\n",
        *(b"X-%d: x\r\n" % n for n in range(90)),
    ],
    "an empty line after a request": [KEPT, b"\r\n"],
    "half a second request": [KEPT, b"GET /hea"],
}


@pytest.mark.parametrize("kind", SLOW_HEADS)
async def test_too_slow_a_head_is_cut_off(in_a_hurry: Listening, kind: str) -> None:
    """Also one that would take 18 seconds, a header at a time."""
    started = time.monotonic()
    answer = await in_a_hurry.send(*SLOW_HEADS[kind], pause=0.2)
    assert answer.raw.count(b"HTTP/1.1 200") == SLOW_HEADS[kind].count(KEPT)
    assert HURRIED.head_seconds * 0.9 <= time.monotonic() - started < 10
    assert (await in_a_hurry.send(head("GET", "/healthz"))).status == 200


async def test_a_slow_head_in_time_is_read(patient: Listening) -> None:
    asked = head("GET", "/healthz")
    assert (await patient.send(asked[:20], asked[20:], pause=0.1)).status == 200


async def test_a_body_may_take_longer_than_a_head(in_a_hurry: Listening) -> None:
    asked = head("POST", WEBHOOKS, "Content-Length: 10")
    answer = await in_a_hurry.send(asked, *[b"1"] * 10, pause=0.15)
    assert (answer.status, told(answer)) == (400, REFUSED)


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

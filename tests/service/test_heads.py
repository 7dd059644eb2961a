"""Heads of requests: what is not HTTP, too large or ambiguous is refused."""

import json

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA
from tests.postgres_server import Sql
from tests.running import REFUSED, UNAUTHORIZED, WEBHOOKS, problem, svix_headers
from tests.service.served import BODY, Served, chunked, head, is_alive, told
from tests.service.tables import count_rows

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


MANY = b"a:\r\n" * 200


async def test_too_many_headers_are_refused_before_the_head_ends(served: Served) -> None:
    answer = await served.at.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + MANY)
    assert (answer.status, told(answer)) == (431, problem(431, "head_too_long"))


async def test_too_many_trailers_are_refused_before_the_last(served: Served, sql: Sql) -> None:
    post = served.post("Transfer-Encoding: chunked", length=False)
    answer = await served.at.send(post, *chunked(BODY)[:-1], b"0\r\n" + MANY)
    assert answer.status == 400
    assert await count_rows(sql) == (0, 0)


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

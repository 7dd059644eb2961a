"""Floods of bad requests: nothing leaks, nothing accumulates, and the store is not used."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.e2e.processes import ServiceProcess, environment_for, eventually, running_process
from tests.postgres_server import Sql
from tests.running import Service, bearer, client_of, running_service, settings_for, svix_headers
from tests.service.bad_deliveries import BODY, KINDS, MALFORMED, TOUCHED, post, signed
from tests.service.listening import Listening, listening
from tests.service.served import Served, head
from tests.service.tables import count_rows
from tests.service.tokens import BAD_TOKENS

POOL = 4
MEBIBYTE = 1024 * 1024
LONGEST_ANSWER = 5.0
"""Seconds, on a busy machine, beside clients that are slow or hang up."""


@pytest.fixture(scope="module")
async def storeless(shared_clerk: ClerkEmulator) -> AsyncIterator[Service]:
    """A service that answers 503 if it uses its store."""
    async with running_service(
        shared_clerk, "postgresql://nobody:secret@127.0.0.1:1/nowhere"
    ) as service:
        yield service


@pytest.mark.parametrize("cause", MALFORMED)
async def test_a_delivery_with_bad_headers_is_refused_without_the_store(
    storeless: Service, cause: str
) -> None:
    answer = await post(storeless, MALFORMED[cause](signed(storeless)), BODY)
    assert answer.status_code == 400


@pytest.mark.parametrize("how", TOUCHED)
async def test_a_body_that_was_touched_is_refused_without_the_store(
    storeless: Service, how: str
) -> None:
    answer = await post(storeless, signed(storeless).headers, TOUCHED[how])
    assert answer.status_code == 400


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_of_another_kind_is_refused_without_the_store(
    storeless: Service, kind: str
) -> None:
    headers = svix_headers(storeless.secret, BODY) | KINDS[kind]
    answer = await storeless.http.post("/webhooks/clerk", content=BODY, headers=headers)
    assert answer.status_code == 415


@pytest.mark.parametrize("kind", BAD_TOKENS)
async def test_a_bad_token_is_refused_without_the_store(
    storeless: Service, clerk: ClerkEmulator, kind: str
) -> None:
    assert (await storeless.me(BAD_TOKENS[kind](clerk))).status_code == 401


async def test_a_good_session_needs_no_store(storeless: Service, clerk: ClerkEmulator) -> None:
    token = clerk.session_token(ADA)
    assert (await storeless.session(token)).status_code == 200
    assert (await storeless.me(token)).status_code == 503


@dataclass(frozen=True)
class Small:
    """A service with few connections to its store: on a port, and without one."""

    served: Served
    service: Service

    @property
    def at(self) -> Listening:
        return self.served.at


@pytest.fixture
async def small(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Small]:
    key, secret = clerk.keys.public_pem(), clerk.config.webhook_secrets[0]
    settings = settings_for(clerk, store_url, database_pool_size=POOL, clerk_jwt_key=key)
    app = create_app(settings)
    async with listening(app, settings) as at, client_of(app) as http:
        yield Small(Served(at, secret), Service(http, app, secret))


async def test_five_hundred_clients_that_hang_up_leave_nothing_open(
    small: Small, clerk: ClerkEmulator, sql: Sql
) -> None:
    token = bearer(clerk.session_token(ADA))["Authorization"]
    me = f"GET /v1/me HTTP/1.1\r\nHost: service\r\nAuthorization: {token}\r\n\r\n".encode()
    for _ in range(25):
        deliveries = (small.at.hang_up(small.served.post() + BODY) for _ in range(10))
        requests = (small.at.hang_up(me) for _ in range(10))
        await asyncio.gather(*deliveries, *requests, answered_in_time(small.at, token))

    async def nothing_open() -> bool:
        in_use = await small.service.metric("store_pool_connections_in_use")
        return in_use == 0 and not await sessions_at_work(sql)

    await eventually(nothing_open)
    assert await small.service.metric("store_pool_connections") <= POOL
    assert (await small.at.send(small.served.post(), BODY)).status == 204


async def answered_in_time(at: Listening, authorization: str) -> None:
    request = head("GET", "/v1/session", f"Authorization: {authorization}")
    async with asyncio.timeout(LONGEST_ANSWER):
        assert (await at.send(request)).status == 200


async def sessions_at_work(sql: Sql) -> list[str]:
    """What the services' own sessions on this database are doing, unless they are idle."""
    rows = await sql.fetch(
        """
        select state from pg_stat_activity
        where datname = current_database() and application_name = 'clerk-user-sync'
            and state <> 'idle'
        """
    )
    return [row["state"] for row in rows]


FORGED = webhook_bytes("user.created")
BATCH = 50


async def forge(service: ServiceProcess, number: int) -> int:
    """Send forged deliveries on one connection. Returns how many were refused."""
    headers = svix_headers("whsec_" + "C" * 32, FORGED) | {
        "content-length": str(len(FORGED)),
        "host": "service",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    one = f"POST /webhooks/clerk HTTP/1.1\r\n{lines}\r\n".encode() + FORGED
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    refused = 0
    for _ in range(number // BATCH):
        writer.write(one * BATCH)
        for _ in range(BATCH):
            refused += await _refused(reader)
    writer.close()
    return refused


async def _refused(reader: asyncio.StreamReader) -> bool:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 400")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_forgeries_leave_no_row_and_no_heap(
    clerk: ClerkEmulator,
    store_url: str,
    sql: Sql,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    environment = environment_for(clerk, store_url, LOG_LEVEL="error")
    async with running_process(environment, tmp_path) as service:
        await forge_together(service, 4_000)
        before = service.memory
        assert await forge_together(service, 100_000) == 100_000
        grown = service.memory - before
    record_property("grown by MiB in 100,000 forgeries", round(grown / MEBIBYTE, 1))
    assert grown < 20 * MEBIBYTE
    assert await count_rows(sql) == (0, 0)


async def forge_together(service: ServiceProcess, number: int) -> int:
    return sum(await asyncio.gather(*(forge(service, number // 8) for _ in range(8))))


@pytest.mark.slow
async def test_a_thousand_slow_bodies_delay_no_other_request(
    small: Small, clerk: ClerkEmulator, sql: Sql
) -> None:
    token = bearer(clerk.session_token(ADA))["Authorization"]
    held = [await _half_a_delivery(small.at, small.served.post()) for _ in range(1_000)]
    for _ in range(20):
        await answered_in_time(small.at, token)
    for writer in held:
        writer.close()
    assert await count_rows(sql) == (0, 0)


async def _half_a_delivery(at: Listening, head: bytes) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", at.port)
    writer.write(head + BODY[:100])
    return writer


BLANK = b" " * MEBIBYTE
PIPELINED = b"GET /v1/me HTTP/1.1\r\nHost: a\r\n\r\n" * 10_000
UNSIGNED = b"POST /webhooks/clerk HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % MEBIBYTE
ENDLESS = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
CHUNKED = b"POST /webhooks/clerk HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

ATTACKS: dict[str, tuple[bytes, bytes]] = {
    "requests whose answers are not read": (b"", PIPELINED),
    "unsigned bodies whose answers are not read": (b"", UNSIGNED + BLANK),
    "a head without end": (ENDLESS, b"x" * 8_192),
    "headers without end": (ENDLESS, b"y\r\nX: " * 1_000),
    "a body in chunks of a byte": (CHUNKED, b"1\r\n \r\n" * 1_000),
}
"""Bytes that are sent once, and bytes that are sent again and again."""
CONNECTIONS = 10


@dataclass
class Sent:
    """How much the attackers have sent."""

    size: int = 0


async def attack(port: int, begun: bytes, more: bytes, sent: Sent) -> None:
    """A connection, reopened whenever it is cut, that sends as fast as it can and never reads."""
    loop = asyncio.get_running_loop()
    while True:
        with socket.socket() as peer, suppress(OSError):
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", port))
            await loop.sock_sendall(peer, begun)
            while True:
                await loop.sock_sendall(peer, more)
                sent.size += len(more)
                await asyncio.sleep(0)  # sent at once, it would keep the event loop


@dataclass
class Watched:
    """How the service fared while it was attacked."""

    slowest: float = 0.0
    most_memory: int = 0


async def watch(service: ServiceProcess, seconds: float) -> Watched:
    seen, until = Watched(), time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        assert await service.status("/healthz") == 200
        seen.slowest = max(seen.slowest, time.monotonic() - started)
        seen.most_memory = max(seen.most_memory, service.memory)
        await asyncio.sleep(0.1)
    return seen


@pytest.mark.parametrize(
    "seconds", [1.5, pytest.param(60.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_an_edge_under_attack_stays_small_and_answers_about_health(
    clerk: ClerkEmulator,
    store_url: str,
    tmp_path: Path,
    seconds: float,
    record_property: Callable[[str, object], None],
) -> None:
    environment = environment_for(clerk, store_url, LOG_LEVEL="error")
    longest = 1.0 if seconds > 10 else 5.0  # other tests of the fast tier use the machine too
    async with running_process(environment, tmp_path) as service:
        before = service.memory
        for kind, (begun, more) in ATTACKS.items():
            sent = Sent()
            attackers = [
                asyncio.create_task(attack(service.port, begun, more, sent))
                for _ in range(CONNECTIONS)
            ]
            seen = await watch(service, seconds)
            assert not any(attacker.done() for attacker in attackers), kind
            assert sent.size > 0, kind
            for attacker in attackers:
                attacker.cancel()
            await asyncio.wait(attackers)
            grown = (seen.most_memory - before) / MEBIBYTE
            record_property(kind, f"grown by {grown:.0f} MiB, slowest {seen.slowest:.2f} s")
            assert grown < 64, kind
            assert seen.slowest < longest, kind
        assert service.stderr == ""

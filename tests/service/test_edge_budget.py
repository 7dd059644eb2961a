"""Requests above the edge's budget are refused, and health is still answered."""

import asyncio
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path
from statistics import median

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.edge.account import Edge
from service.edge.budget import FEWEST_CONNECTIONS, MOST_CONNECTIONS, Budget
from tests.e2e.processes import ServiceProcess, environment_for, eventually
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, problem
from tests.service.peers import (
    HALF,
    KIBIBYTE,
    MEBIBYTE,
    Peer,
    answered,
    assert_healthy,
    peers,
    served_within,
)
from tests.service.served import BODY, KEPT, head, told
from tests.service.tables import count_rows


async def test_the_connections_that_are_idle_longest_make_room(clerk: ClerkEmulator) -> None:
    async with (
        served_within(clerk, Budget(connections=10)) as served,
        peers(served.at, 30, b"GET /he") as idle,
    ):
        await assert_healthy(served.at)
        assert (await served.at.send(head("GET", "/v1/me"))).status == 401
        assert [await peer.answer() for peer in idle[:15]] == [b""] * 15
        idle[-1].writer.write(b"althz HTTP/1.0\r\n\r\n")
        assert (await idle[-1].answer()).startswith(b"HTTP/1.1 200")


async def test_a_connection_at_work_is_never_cut_for_another(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with served_within(clerk, Budget(connections=4), store_url) as served:
        whole = served.post() + BODY
        async with Peer(served.at, whole[:-1]) as working, peers(served.at, 30):
            await assert_healthy(served.at, 200)
            working.writer.write(whole[-1:])
            assert (await working.answer()).startswith(b"HTTP/1.1 204")
    assert await count_rows(sql) == (1, 1)


async def test_if_no_connection_is_idle_only_health_is_answered(
    clerk: ClerkEmulator,
) -> None:
    async with served_within(clerk, Budget(connections=4, health_connections=3)) as served:
        async with peers(served.at, 4, HALF):
            await eventually(lambda: served.at.edge.idle == {})
            for _ in range(3):
                await assert_healthy(served.at)
                for path in ("/v1/me", "/%68ealthz"):
                    answer = await served.at.send(head("GET", path))
                    assert told(answer) == problem(503, "overloaded")
                    assert answer.headers["retry-after"] == "1"
            kept = await served.at.send(KEPT)
            assert (kept.status, kept.headers["connection"]) == (200, "close")
            async with peers(served.at, 20, HALF):
                await assert_healthy(served.at)
        answer = await served.at.send(head("GET", "/v1/me"))
        assert answer.status == 401


async def test_idle_ones_beyond_the_last_are_cut_too(clerk: ClerkEmulator) -> None:
    budget = Budget(connections=2, health_connections=2)
    async with (
        served_within(clerk, budget) as served,
        peers(served.at, 2, HALF),
        peers(served.at, 40),
    ):
        await eventually(lambda: len(served.at.edge.idle) <= 2)
        await assert_healthy(served.at)


class Worker:
    """A connection that knows whether it was cut."""

    was_cut = False

    def cut(self) -> None:
        self.was_cut = True

    def close_if_idle(self) -> None:
        """It is not idle."""


async def test_beyond_those_for_health_a_connection_is_cut_at_once() -> None:
    edge = Edge(Budget(connections=2, health_connections=1))
    connections = [Worker() for _ in range(4)]
    admitted = []
    for number, one in enumerate(connections, start=1):
        admitted.append(edge.admit(one, number))
        edge.idle.clear()  # a request is in flight
    assert admitted == [True, True, False, False]
    assert [one.was_cut for one in connections] == [False, False, False, True]


async def test_a_refused_peer_that_sends_on_is_cut_before_its_time(clerk: ClerkEmulator) -> None:
    budget = Budget(linger_seconds=60, linger_bytes=MEBIBYTE)
    async with served_within(clerk, budget) as served:
        started = time.monotonic()
        async with Peer(served.at, b"nonsense\r\n\r\n") as peer:
            with suppress(ConnectionError):
                while True:
                    peer.writer.write(b"x" * 65_536)
                    await peer.writer.drain()
        assert time.monotonic() - started < 10


LITTLE = Budget(bytes_in_hand=256 * KIBIBYTE, bytes_for_large=128 * KIBIBYTE, small=8 * KIBIBYTE)


async def test_bodies_beyond_the_budget_are_refused_and_small_ones_are_not(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    large = head("POST", WEBHOOKS, "Content-Length: 100000") + b" " * 60_000
    async with served_within(clerk, LITTLE, store_url) as served, peers(served.at, 2, large):
        await eventually(lambda: served.at.edge.bytes_in_hand > 110_000, 10)
        for _ in range(5):
            answer = await served.at.send(large)
            assert told(answer) == problem(503, "overloaded")
            assert answer.headers["retry-after"] == "1"
        assert (await served.at.send(served.post(), BODY)).status == 204
        await assert_healthy(served.at, 200)
    assert await count_rows(sql) == (1, 1)


async def test_where_the_whole_budget_is_used_health_is_answered_and_nothing_else(
    clerk: ClerkEmulator,
) -> None:
    budget = Budget(bytes_in_hand=64 * KIBIBYTE, bytes_for_large=MEBIBYTE)
    large = head("POST", WEBHOOKS, "Content-Length: 99999") + b" " * 70_000
    async with served_within(clerk, budget) as served, peers(served.at, 1, large):
        await eventually(lambda: served.at.edge.bytes_in_hand > 64 * KIBIBYTE)
        await assert_healthy(served.at)
        answer = await served.at.send(head("GET", "/v1/me"))
        assert told(answer) == problem(503, "overloaded")


async def test_requests_in_one_connection_beyond_the_budget_are_refused(
    clerk: ClerkEmulator,
) -> None:
    async with served_within(clerk, LITTLE) as served:
        answer = await served.at.send(KEPT * 4_999 + head("GET", "/nope"))
    assert {*answer.statuses[:-1]} == {200}
    assert answer.statuses[-1] == 503


async def test_thousands_of_requests_in_one_connection_are_answered_in_turn(
    clerk: ClerkEmulator,
) -> None:
    async with served_within(clerk, Budget()) as served:
        answer = await served.at.send(KEPT * 4_999 + head("GET", "/nope"))
        assert answer.statuses == [200] * 4_999 + [404]


async def test_requests_whose_answers_are_never_read_are_not_read_either(
    clerk: ClerkEmulator,
) -> None:
    async with served_within(clerk, Budget(write_seconds=60)) as served:
        async with peers(served.at, 10) as pushing:
            for peer in pushing:
                peer.writer.transport.set_write_buffer_limits(high=0)
            pushed = [asyncio.create_task(push(peer)) for peer in pushing]
            most = 0
            for _ in range(100):
                await asyncio.sleep(0.02)
                most = max(most, served.at.edge.bytes_in_hand)
            for task in pushed:
                task.cancel()
        assert 0 < most < 10 * 600 * KIBIBYTE


async def push(peer: Peer) -> None:
    while True:
        peer.writer.write(KEPT * 1_000)
        await peer.writer.drain()


LARGE_AND_KEPT: dict[str, bytes] = {
    "a body that is not read": (
        b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" + b"x" * 30_000
    ),
    "a part of a body": (
        b"POST /nope HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + b"x" * 30_000
    ),
    "headers": b"GET /nope HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 30_000 + b"\r\n\r\n",
    "an address": b"GET /nope?" + b"x" * 30_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "an address in the answer": b"GET /healthz/?" + b"x" * 30_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "trailers": (
        b"POST /nope HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
        + b"x" * 30_000
        + b"\r\n\r\n"
    ),
}


@pytest.mark.parametrize("sent", LARGE_AND_KEPT)
async def test_an_answered_request_is_not_in_memory(clerk: ClerkEmulator, sent: str) -> None:
    """It does not count in the budget any more, and its connection may stay open."""
    request = LARGE_AND_KEPT[sent]
    async with served_within(clerk, Budget()) as served, peers(served.at, 50) as kept:
        await asyncio.gather(*(answered(peer, KEPT) for peer in kept))
        tracemalloc.start()
        try:
            await asyncio.gather(*(answered(peer, request) for peer in kept))
            in_memory, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert in_memory < 50 * 15_000


@pytest.mark.parametrize("descriptors", [64, 256, 1_024, 5_000])
def test_the_connections_follow_the_limit_of_descriptors(descriptors: int) -> None:
    program = (
        "from service.edge.budget import budget_of_this_process as of; print(of(10).connections)"
    )
    told = subprocess.run(
        ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$0" -c "$1"', sys.executable, program],
        check=True,
        capture_output=True,
        text=True,
    )
    connections = int(told.stdout)
    assert connections == max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, descriptors - 142))


class Poor(ServiceProcess):
    """A service whose process may open 256 files."""

    def spawn(self) -> None:
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", 'ulimit -n 256 && exec "$0" -m service', sys.executable],
                cwd=self._directory,
                env=self._environment,
                stdout=stdout,
                stderr=stderr,
            )


async def test_more_connections_than_descriptors_leave_health_answered(
    clerk: ClerkEmulator, store_url: str, tmp_path: Path
) -> None:
    service = Poor(environment_for(clerk, store_url), tmp_path)
    idle: list[asyncio.StreamWriter] = []
    took = []
    try:
        await service.start()
        opened = (asyncio.open_connection("127.0.0.1", service.port) for _ in range(900))
        idle += [writer for _, writer in await asyncio.gather(*opened)]
        for _ in range(20):
            started = time.monotonic()
            assert await service.status("/healthz") == 200
            assert await service.status("/readyz") == 200
            took.append(time.monotonic() - started)
        assert service.descriptors < 256
        assert service.stderr == ""
    finally:
        for writer in idle:
            writer.transport.abort()
        await service.close()
    # A loop that has no descriptor left accepts nothing for a second. The machine may be busy once.
    assert median(took) < 1

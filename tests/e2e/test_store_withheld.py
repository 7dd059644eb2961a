"""The store is up and out of reach: locked rows, an exhausted pool, a network that fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import asyncpg
import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Load
from tests.e2e.locks import row_locked, waiting_for_locks
from tests.e2e.messages import deletion, lives_of_users, sign_up, update
from tests.e2e.processes import ServiceProcess, environment_for, eventually, running_process
from tests.e2e.proxy import Proxy, proxied
from tests.e2e.truth import assert_redelivery_settles_all, states_of_sessions
from tests.postgres_server import Sql, temporary_database

POOL_SIZE = 2
WAIT = 2.0
"""Seconds a request waits for a connection."""
DEADLINE = 8.0
LONGEST_ANSWER = 10.0
SLACK = 1.0
BACK_WITHIN = 2.0
DELAY = 0.05


@pytest.fixture(scope="module")
async def own_store(postgres_url: str) -> AsyncIterator[str]:
    """A database without other sessions."""
    async with temporary_database(postgres_url, "e2e_withheld") as url:
        yield url


@pytest.fixture
async def own_sql(own_store: str) -> AsyncIterator[Sql]:
    """The URL without the proxy."""
    connection = await asyncpg.connect(own_store)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def proxy(own_store: str) -> AsyncIterator[Proxy]:
    async with proxied(own_store) as proxy:
        yield proxy


@pytest.fixture
def network(proxy: Proxy) -> Iterator[Proxy]:
    """Check that the service is ready, before and after."""
    yield proxy
    proxy.heal()


@pytest.fixture(scope="module")
async def service(
    one_clerk: ClerkEmulator, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServiceProcess]:
    """Two connections, which reach the store through the network."""
    environment = environment_for(one_clerk, proxy.url, DATABASE_POOL_SIZE=str(POOL_SIZE))
    async with running_process(environment, tmp_path_factory.mktemp("withheld")) as service:
        yield service


async def known_user(clerk: ClerkEmulator, service: ServiceProcess) -> str:
    arrival = sign_up(clerk)
    assert (await service.deliver(arrival)).status_code == 204
    return arrival.user_id


async def timed(answering: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    """The answer, and how many seconds it took."""
    began = time.monotonic()
    return await answering, time.monotonic() - began


@pytest.mark.slow
async def test_a_locked_row_holds_up_its_own_user_and_only_until_the_deadline(
    clerk: ClerkEmulator,
    service: ServiceProcess,
    own_store: str,
    own_sql: Sql,
) -> None:
    locked, other = await known_user(clerk, service), await known_user(clerk, service)
    async with row_locked(own_store, locked):
        held_up = asyncio.create_task(timed(service.deliver(update(clerk, locked))))
        while not held_up.done():
            served, seconds = await timed(service.deliver(update(clerk, other)))
            assert served.status_code == 204
            assert seconds < SLACK
            await asyncio.sleep(0.2)
        answer, seconds = await held_up
        assert answer.status_code == 503
        assert "retry-after" in answer.headers
        assert DEADLINE - SLACK < seconds < DEADLINE + SLACK
        assert await waiting_for_locks(own_sql) == 0


async def test_an_exhausted_pool_refuses_in_time_and_serves_again_when_it_can(
    clerk: ClerkEmulator,
    service: ServiceProcess,
    own_store: str,
    own_sql: Sql,
) -> None:
    first, second = await known_user(clerk, service), await known_user(clerk, service)
    async with row_locked(own_store, first), row_locked(own_store, second):
        held_up = [
            asyncio.create_task(service.deliver(update(clerk, user_id)))
            for user_id in (first, second)
        ]
        await eventually(lambda: so_many_wait(own_sql, 2))
        others = asyncio.gather(*(service.deliver(sign_up(clerk)) for _ in range(20)))
        assert await service.status("/healthz") == 200
        for answer in await others:
            assert answer.status_code == 503
            assert "retry-after" in answer.headers
        assert not any(answer.done() for answer in held_up), "nobody waited for their deadline"
    assert [answer.status_code for answer in await asyncio.gather(*held_up)] == [204, 204]
    assert (await service.deliver(sign_up(clerk))).status_code == 204


@pytest.mark.slow
async def test_a_dead_network_is_answered_in_time_and_leaves_nothing_behind(
    clerk: ClerkEmulator,
    service: ServiceProcess,
    network: Proxy,
    own_store: str,
    own_sql: Sql,
) -> None:
    """In the middle of a transaction neither a cancellation nor a rollback arrives."""
    leaving, known = await known_user(clerk, service), await known_user(clerk, service)
    token = clerk.session_token(known)
    async with row_locked(own_store, leaving):
        in_transaction = asyncio.create_task(timed(service.deliver(deletion(clerk, leaving))))
        await eventually(lambda: so_many_wait(own_sql, 1), WAIT)
        network.stall()
        refused = asyncio.gather(
            in_transaction,
            timed(service.deliver(update(clerk, known))),
            timed(service.me(token)),
            *[timed(service.deliver(sign_up(clerk))) for _ in range(10)],
        )
        assert await service.status("/healthz") == 200
        assert await service.status("/readyz") == 503
        for answer, seconds in await refused:
            assert answer.status_code == 503
            assert seconds < LONGEST_ANSWER
    network.heal()
    await eventually(service.is_ready, BACK_WITHIN)
    assert (await service.me(token)).status_code == 200
    await eventually(lambda: no_session_is_left_over(own_sql), BACK_WITHIN)


async def test_connections_cut_under_load_lose_and_repeat_nothing(
    clerk: ClerkEmulator,
    service: ServiceProcess,
    network: Proxy,
    own_sql: Sql,
) -> None:
    async with Load(service, lives_of_users(clerk)) as load:
        for _ in range(5):
            await load.acknowledged(20)
            network.reset()
        await load.acknowledged(20)
    assert {one.status for one in load.attempts} <= {204, 503}
    await assert_redelivery_settles_all(load, clerk, own_sql)


async def test_a_slow_network_slows_and_does_not_fail(
    clerk: ClerkEmulator, service: ServiceProcess, network: Proxy
) -> None:
    leaving = await known_user(clerk, service)
    network.delay = DELAY
    answer, seconds = await timed(service.deliver(deletion(clerk, leaving)))
    network.heal()
    assert answer.status_code == 204
    assert seconds > DELAY


FAILING_NETWORKS = {
    "half a second each way": {"delay": 0.5},
    "a byte every 20 ms": {"delay": 0.02, "piece": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("how", FAILING_NETWORKS.values(), ids=FAILING_NETWORKS)
async def test_a_network_that_hardly_works_is_answered_in_time_and_well_when_it_works_again(
    how: dict[str, Any],
    clerk: ClerkEmulator,
    service: ServiceProcess,
    network: Proxy,
    own_sql: Sql,
) -> None:
    async with Load(service, lives_of_users(clerk), senders=8) as load:
        await load.acknowledged(20)
        vars(network).update(how)
        await asyncio.sleep(LONGEST_ANSWER)
        assert await service.status("/healthz") == 200
        network.heal()
        await load.acknowledged(20)
    assert {one.status for one in load.attempts} <= {204, 503}
    assert all(one.retry_after for one in load.attempts if one.status == 503)
    assert max(one.seconds for one in load.attempts) < LONGEST_ANSWER
    await assert_redelivery_settles_all(load, clerk, own_sql)
    await eventually(lambda: no_session_is_left_over(own_sql), BACK_WITHIN)


async def so_many_wait(sql: Sql, number: int) -> bool:
    return await waiting_for_locks(sql) == number


async def no_session_is_left_over(sql: Sql) -> bool:
    sessions = await states_of_sessions(sql)
    return len(sessions) <= POOL_SIZE and set(sessions) == {"idle"}

"""SIGTERM and SIGINT under load: a stop that loses nothing and is a success."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.locks import row_locked, waiting_for_locks
from tests.e2e.messages import lives_of_users, sign_up, update
from tests.e2e.processes import ServiceProcess, environment_for, eventually, running_process
from tests.e2e.truth import unrecorded
from tests.postgres_server import Sql

DRAIN = 3.0
"""Seconds, in which a probe must see 503 and requests must be served."""
SHUTDOWN = 60
"""Seconds that it waits at most for requests in hand."""
GONE_WITHIN = 30.0
SENDERS = 8
REST = 0.02
"""Seconds between a sender's messages, so that probes are answered too."""
SIGNALS = [
    pytest.param(signal.SIGTERM),
    pytest.param(signal.SIGHUP),
    pytest.param(signal.SIGINT, marks=pytest.mark.slow),
]


@pytest.fixture
def hangups_are_heard() -> Iterator[None]:
    """The service inherits what `nohup`, under which these tests may run, ignores."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
async def service(
    hangups_are_heard: None, one_clerk: ClerkEmulator, store: str, tmp_path: Path
) -> AsyncIterator[ServiceProcess]:
    """A service that the test stops."""
    del hangups_are_heard
    seconds = {"DRAIN_SECONDS": str(DRAIN), "SHUTDOWN_SECONDS": str(SHUTDOWN)}
    environment = environment_for(one_clerk, store, **seconds)
    async with running_process(environment, tmp_path) as service:
        yield service


@pytest.mark.parametrize("stopping", SIGNALS)
async def test_a_stopping_service_is_unready_first_then_finishes_its_work_and_exits_with_0(
    stopping: signal.Signals,
    clerk: ClerkEmulator,
    service: ServiceProcess,
    store: str,
    sql: Sql,
) -> None:
    slow = sign_up(clerk)
    await service.deliver(slow)
    async with Load(service, lives_of_users(clerk), SENDERS, rest=REST) as load:
        await load.acknowledged(100)
        async with row_locked(store, slow.user_id):
            in_hand = asyncio.create_task(service.deliver(update(clerk, slow.user_id)))
            await eventually(lambda: waits_for_a_lock(sql))
            service.send_signal(stopping)
            await eventually(lambda: is_unready(service), DRAIN)
            unready = time.monotonic()
            await eventually(lambda: takes_no_more(service))
            free = time.monotonic()
        answer = await in_hand
        status = await service.ended(SHUTDOWN)
        gone = time.monotonic()

    assert status == 0
    assert answer.status_code == 204
    assert gone - free < GONE_WITHIN
    assert any(one.fate is Fate.ACKNOWLEDGED for one in load.within(unready))
    assert {one.status for one in load.attempts} == {204, None}
    assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
    assert service.stderr == ""


async def is_unready(service: ServiceProcess) -> bool:
    return await service.status("/readyz") == 503


async def takes_no_more(service: ServiceProcess) -> bool:
    return await service.status("/healthz") is None


async def waits_for_a_lock(sql: Sql) -> bool:
    return await waiting_for_locks(sql) == 1

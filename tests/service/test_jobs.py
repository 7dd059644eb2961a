"""A background job that fails is logged, named as failing, counted, and started again."""

import asyncio
import json
from io import StringIO

import httpx
import pytest

from domain.changes import Change
from domain.errors import StorageUnavailable
from domain.user import LocalUser
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.bootstrap import bootstrap
from service.bootstrap.work import working
from service.changes import Changes
from service.jobs import Jobs
from service.log import line_logger
from service.metrics import Metrics
from tests.adapters.postgres.faults import refusing
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import running_service, settings_for
from tests.simulation.virtual_time import in_virtual_time


class Job:
    """Fails a number of times before it returns. `starts` are the times at which it began."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.starts: list[float] = []

    async def __call__(self) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        if self.failures:
            raise self.failures.pop(0)


def supervisor() -> tuple[Jobs, Metrics, StringIO]:
    log, metrics = StringIO(), Metrics()
    return Jobs(metrics, line_logger("info", "json", log)), metrics, log


@in_virtual_time
async def test_it_is_started_again_after_pauses_that_grow_up_to_a_minute() -> None:
    jobs, metrics, _ = supervisor()
    job = Job(*(StorageUnavailable("away") for _ in range(8)))
    jobs.start("a job", job)
    await asyncio.sleep(1000)
    pauses = [round(b - a, 3) for a, b in zip(job.starts, job.starts[1:], strict=False)]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert b'clerk_user_sync_job_failures_total{name="a job"} 8.0' in metrics.exposition()
    assert jobs.failing == set()


@in_virtual_time
async def test_meanwhile_it_is_named_as_failing() -> None:
    jobs, _, _ = supervisor()
    jobs.start("a job", Job(StorageUnavailable("away")))
    await asyncio.sleep(0.5)
    assert jobs.failing == {"a job"}
    await jobs.close()


@in_virtual_time
async def test_it_is_named_without_a_gap_however_long_it_takes_to_fail() -> None:
    jobs, _, _ = supervisor()

    async def work() -> None:
        await asyncio.sleep(60.01)
        raise StorageUnavailable("away")

    jobs.start("a job", work)
    await asyncio.sleep(60.5)
    for _ in range(1000):
        assert jobs.failing == {"a job"}
        await asyncio.sleep(1)
    await jobs.close()


@in_virtual_time
async def test_it_is_named_no_longer_once_it_has_run_for_longer_or_for_ten_minutes() -> None:
    jobs, _, _ = supervisor()
    lasts = iter([20, 100_000])

    async def work() -> None:
        await asyncio.sleep(next(lasts, 1_000_000))
        raise StorageUnavailable("away")

    jobs.start("a job", work)
    await asyncio.sleep(20 + 1 + 50)
    assert jobs.failing == set()
    await asyncio.sleep(100_000)
    assert jobs.failing == {"a job"}
    await asyncio.sleep(610)
    assert jobs.failing == set()
    await jobs.close()


@in_virtual_time
async def test_closing_ends_a_job_that_loses_its_first_cancellation() -> None:
    jobs, _, _ = supervisor()
    lost: list[None] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append(None)

    jobs.start("a job", work)
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await jobs.close()
    assert lost


@in_virtual_time
@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (
            StorageUnavailable("away"),
            {"level": "warning", "cause": "the store is unavailable (away)"},
        ),
        (KeyError("a secret"), {"level": "error", "error": "KeyError"}),
    ],
)
async def test_it_is_logged_in_words_or_by_its_places(
    failure: Exception, told: dict[str, str]
) -> None:
    jobs, _, log = supervisor()
    jobs.start("a job", Job(failure))
    await asyncio.sleep(0.5)
    await jobs.close()
    line = json.loads(log.getvalue())
    assert told.items() <= line.items()
    assert ("frames" in line) == (line["level"] == "error")
    assert "secret" not in log.getvalue()


@in_virtual_time
async def test_closing_ends_every_job() -> None:
    jobs, _, _ = supervisor()
    ended = asyncio.Event()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    jobs.start("endless", endless)
    await asyncio.sleep(0)
    await jobs.close()
    assert ended.is_set()


class Network(httpx.AsyncBaseTransport):
    """Clerk's, which as aiohttp's sessions refuses what is asked while and after it is closed."""

    def __init__(self, clerk: ClerkEmulator) -> None:
        self._clerk = clerk.transport
        self._closed = asyncio.Event()
        self.asked = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/users"):
            self.asked.set()
            await self._closed.wait()
        if self._closed.is_set():
            raise RuntimeError("Session is closed")
        return await self._clerk.handle_async_request(request)

    async def aclose(self) -> None:
        self._closed.set()
        await asyncio.sleep(0.1)


async def test_no_job_fails_because_the_process_stops(clerk: ClerkEmulator, store_url: str) -> None:
    network, lines = Network(clerk), StringIO()
    settings = settings_for(clerk, store_url, poll_every=1)
    log = line_logger("info", "json", lines)
    async with bootstrap(settings, Metrics(), log, transport=network):
        await network.asked.wait()
    assert "job_failed" not in lines.getvalue()


async def test_readiness_is_degraded_while_a_job_of_the_service_fails(
    clerk: ClerkEmulator, store_url: str
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401, on="GetUserList"))
    async with running_service(clerk, store_url, reconcile_every=1) as service:

        async def is_degraded() -> bool:
            return "jobs" in await service.degraded()

        await eventually(is_degraded)


async def test_readiness_is_degraded_while_a_job_of_a_worker_fails(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    settings, log = settings_for(clerk, store_url), line_logger("error", "json", StringIO())
    changes = Changes()

    @changes.on(name="mail")
    async def handle(_change: Change, _user: LocalUser | None) -> None: ...

    async with (
        refusing(sql, "22000", table="user_change_subscriptions"),
        working(settings, changes, Metrics(), log) as worker,
    ):

        async def is_degraded() -> bool:
            return "jobs" in (await worker.readiness.report()).as_document()["degraded"]

        await eventually(is_degraded)

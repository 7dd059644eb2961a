"""No part of a request may block the event loop, and a metric shows if one does."""

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.jobs import watch_event_loop
from tests.e2e.fuse import stepwise
from tests.e2e.messages import deletion, sign_up, update
from tests.e2e.processes import eventually
from tests.running import Service, running_service

MEBIBYTE = 1024 * 1024
BLOCKED = 0.25
"""Seconds of work without an await that would delay other requests."""


class LongestStep:
    """The most processor time between two steps of any of the tasks begun from now on."""

    def __init__(self) -> None:
        self._last = 0.0
        self.seconds = 0.0

    def begin(self) -> None:
        self._last = time.thread_time()
        gc.disable()  # garbage of other tests does not count
        asyncio.get_running_loop().set_task_factory(self._task)

    def end(self) -> None:
        asyncio.get_running_loop().set_task_factory(None)
        gc.enable()

    def _task(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> Any:
        return asyncio.Task(stepwise(work, self._step), loop=loop, **options)

    def _step(self) -> None:
        now = time.thread_time()
        self.seconds, self._last = max(self.seconds, now - self._last), now


async def test_a_blocked_event_loop_is_reported() -> None:
    lags: list[float] = []
    watching = asyncio.create_task(watch_event_loop(lags.append, every=0.01))
    await asyncio.sleep(0.05)
    time.sleep(0.2)  # noqa: ASYNC251 - this is what must be seen
    await asyncio.sleep(0.05)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert max(lags) > 0.15


async def test_the_lag_is_among_the_metrics(clerk: ClerkEmulator, store_url: str) -> None:
    async with running_service(clerk, store_url) as service:

        async def is_measured() -> bool:
            return await service.metric("event_loop_lag_seconds_count") > 0

        await eventually(is_measured, 20)


@pytest.mark.slow
async def test_no_request_keeps_the_event_loop_for_long(
    clerk: ClerkEmulator, store_url: str, record_property: Callable[[str, object], None]
) -> None:
    longest = LongestStep()
    async with running_service(clerk, store_url, clerk_rate_limit=100_000) as service:
        await every_kind_of_request(service, clerk)  # loads and compiles what is needed only once
        longest.begin()
        await asyncio.create_task(every_kind_of_request(service, clerk))
        longest.end()
    record_property("longest step, ms", round(longest.seconds * 1000, 1))
    assert longest.seconds < BLOCKED


async def every_kind_of_request(service: Service, clerk: ClerkEmulator) -> None:
    arrival, stranger = sign_up(clerk), sign_up(clerk)
    for body in (
        arrival.body,
        update(clerk, arrival.user_id).body,
        b'{"nonsense":"' + b"x" * (MEBIBYTE - 20) + b'"}',
        b"[" * MEBIBYTE,
        arrival.body[:-1] + b',"more":[' + b'{"a":1},' * 100_000 + b"1]}",
        deletion(clerk, arrival.user_id).body,
    ):
        assert (await service.deliver(body)).status_code in {202, 204}
    tokens = [clerk.session_token(who) for who in (arrival.user_id, stranger.user_id)]
    for token in [*tokens, "x" * 4000, f"{tokens[0]}x"]:
        await service.me(token)
        await service.session(token)

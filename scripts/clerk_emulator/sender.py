"""Svix as Clerk uses it: a message for every endpoint, up to eight attempts, one `svix-id`.

Deliveries are independent of one another; their order is best effort (docs.svix.com/retries,
docs.svix.com/advanced-endpoints/fifo-endpoints).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from functools import partial

import httpx
import orjson

from scripts.clerk_emulator.config import Clock, Endpoint
from scripts.clerk_emulator.courier import Courier
from scripts.clerk_emulator.deliveries import Attempt, Delivery, DeliveryStatus, Message
from scripts.clerk_emulator.events import Event
from scripts.clerk_emulator.ids import new_id
from scripts.clerk_emulator.plans import DeliveryPlan, Plans

RETRY_SCHEDULE = (0, 5, 300, 1800, 7200, 18000, 36000, 36000)
"""Seconds before each attempt, from the one before (docs.svix.com/retries)."""


class Sender:
    """Queues messages and delivers them as planned. `time_scale` multiplies the schedule."""

    def __init__(
        self,
        *,
        clock: Clock,
        endpoints: Iterable[Endpoint] = (),
        time_scale: float = 1.0,
        attempt_timeout: float = 15.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.messages: dict[str, Message] = {}
        self.endpoints = list(endpoints)
        self.plans = Plans()
        self._sent = 0
        self._time_scale = time_scale
        self._courier = Courier(clock=clock, timeout=attempt_timeout, transport=transport)
        self._disabled: set[str] = set()
        self._not_begun: deque[tuple[Delivery, DeliveryPlan]] = deque()
        self._tasks: set[asyncio.Task[DeliveryStatus]] = set()
        self._to_be_overtaken: dict[Delivery, int] = {}
        self._on_their_way = 0
        self._settled = _event(happened=True)
        self._running = _event(happened=True)

    async def start(self) -> None:
        """Begin to deliver, first what was queued meanwhile."""
        self._courier.start()
        while self._not_begun:
            self._spawn(*self._not_begun.popleft())

    async def stop(self) -> None:
        """Abandon what is on its way; `replay` finds it as failed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._courier.stop()

    def add_endpoint(self, endpoint: Endpoint) -> None:
        self.endpoints.append(endpoint)

    def enable(self, url: str, *, enabled: bool) -> None:
        """A disabled endpoint is sent nothing, as after five days of failures."""
        if enabled:
            self._disabled.discard(url)
        else:
            self._disabled.add(url)

    def enabled(self, url: str) -> bool:
        return url not in self._disabled

    def pause(self) -> None:
        """No attempt begins until `resume`."""
        self._running.clear()

    def resume(self) -> None:
        self._running.set()

    @property
    def paused(self) -> bool:
        return not self._running.is_set()

    async def settled(self, seconds: float = 10.0) -> None:
        """Wait until nothing is on its way. `TimeoutError` when it takes longer."""
        async with asyncio.timeout(seconds):
            await self._settled.wait()

    def send(self, event: Event) -> Message:
        """Queue a message for every endpoint."""
        self._sent += 1
        message = Message(
            svix_id=new_id("msg"),
            number=self._sent,
            event_type=event["type"],
            body=orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode(),
        )
        self.messages[message.svix_id] = message
        plan = self.plans.take()
        for endpoint in self.endpoints:
            self._queue(message, endpoint, plan)
        return message

    def release(self, svix_id: str | None = None) -> None:
        """Let a held message go, or all of them. `KeyError` for an unknown id."""
        for delivery in self._deliveries(svix_id):
            if delivery.status is DeliveryStatus.HELD:
                self._wake(delivery)

    def resend(self, svix_id: str) -> None:
        """Send it again, now, under the same id. `KeyError` for an unknown id."""
        for delivery in self._deliveries(svix_id):
            if delivery.status in {DeliveryStatus.HELD, DeliveryStatus.SENDING}:
                self._wake(delivery)
            else:
                self._begin(delivery, DeliveryPlan())

    def replay(self, *statuses: DeliveryStatus) -> int:
        """Send again what is missing, failed or delivered, as Svix's replay; how many."""
        found = [one for one in self._deliveries() if one.status in statuses]
        for delivery in found:
            self._begin(delivery, DeliveryPlan())
        return len(found)

    def heal(self) -> None:
        """An end to all misfortune: resume, release, and replay what is missing or failed."""
        self.plans.clear()
        self._disabled.clear()
        self.resume()
        self.release()
        self.replay(DeliveryStatus.MISSING, DeliveryStatus.FAILED)

    def forget(self) -> None:
        """Drop the messages of which nothing is on its way or held."""
        active = {DeliveryStatus.SENDING, DeliveryStatus.HELD}
        self.messages = {
            message.svix_id: message
            for message in self.messages.values()
            if any(one.status in active for one in message.deliveries)
        }

    def _deliveries(self, svix_id: str | None = None) -> list[Delivery]:
        messages = self.messages.values() if svix_id is None else [self.messages[svix_id]]
        return [delivery for message in messages for delivery in message.deliveries]

    def _queue(self, message: Message, endpoint: Endpoint, plan: DeliveryPlan) -> None:
        delivery = Delivery(message=message, endpoint=endpoint)
        message.deliveries.append(delivery)
        if not plan.drop and self.enabled(endpoint.url):
            self._begin(delivery, plan)

    def _begin(self, delivery: Delivery, plan: DeliveryPlan) -> None:
        if plan.overtaken_by and not plan.hold:
            self._to_be_overtaken[delivery] = plan.overtaken_by
        self._move(delivery, DeliveryStatus.HELD if plan.held else DeliveryStatus.SENDING)
        if self._courier.started:
            self._spawn(delivery, plan)
        else:
            self._not_begun.append((delivery, plan))

    def _spawn(self, delivery: Delivery, plan: DeliveryPlan) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, plan))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, delivery))

    def _ended(self, delivery: Delivery, task: asyncio.Task[DeliveryStatus]) -> None:
        """A callback, since a task that is cancelled before it began runs none of its code."""
        self._tasks.discard(task)
        self._to_be_overtaken.pop(delivery, None)
        self._move(delivery, DeliveryStatus.FAILED if task.cancelled() else task.result())

    def _move(self, delivery: Delivery, status: DeliveryStatus) -> None:
        self._on_their_way -= delivery.status is DeliveryStatus.SENDING
        self._on_their_way += status is DeliveryStatus.SENDING
        delivery.status = status
        if self._on_their_way:
            self._settled.clear()
        else:
            self._settled.set()

    async def _deliver(self, delivery: Delivery, plan: DeliveryPlan) -> DeliveryStatus:
        if plan.held:
            await delivery.wake.wait()
            delivery.wake.clear()
        await _pause(delivery, plan.delay)
        return await self._try_on_schedule(delivery, plan.repeat)

    async def _try_on_schedule(self, delivery: Delivery, copies: int) -> DeliveryStatus:
        for wait in RETRY_SCHEDULE:
            await self._rest(delivery, wait)
            attempts = await asyncio.gather(
                *(self._courier.attempt(delivery) for _ in range(copies))
            )
            self._overtake_with(delivery)
            if any(attempt.succeeded for attempt in attempts):
                return DeliveryStatus.DELIVERED
            copies = 1
        return DeliveryStatus.FAILED

    async def _rest(self, delivery: Delivery, wait: float) -> None:
        if wait:
            seconds = _lengthened(wait, delivery.attempts[-1])
            await _pause(delivery, seconds * self._time_scale)
        await self._running.wait()

    def _overtake_with(self, delivery: Delivery) -> None:
        """This one was attempted: earlier ones that wait to be overtaken wait for one less."""
        for waiting, later in list(self._to_be_overtaken.items()):
            if not _is_overtaken(waiting, delivery):
                continue
            self._to_be_overtaken[waiting] = later - 1
            if later == 1:
                self._wake(waiting)

    def _wake(self, delivery: Delivery) -> None:
        """On its way from this moment, so that `settled` waits for it."""
        self._to_be_overtaken.pop(delivery, None)
        self._move(delivery, DeliveryStatus.SENDING)
        delivery.wake.set()


async def _pause(delivery: Delivery, seconds: float) -> None:
    """So long, or until it is woken."""
    if seconds <= 0:
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(delivery.wake.wait(), seconds)
    delivery.wake.clear()


def _is_overtaken(waiting: Delivery, by: Delivery) -> bool:
    return waiting.endpoint == by.endpoint and waiting.message.number < by.message.number


def _lengthened(wait: float, attempt: Attempt) -> float:
    """Retry-After is heard between once and twice the scheduled wait, as Svix's server does."""
    asked = attempt.retry_after
    if asked is None or not (asked.isascii() and asked.isdigit()):
        return wait
    return min(max(wait, float(asked)), 2 * wait)


def _event(*, happened: bool) -> asyncio.Event:
    event = asyncio.Event()
    if happened:
        event.set()
    return event

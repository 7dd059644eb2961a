"""The webhook sender, after Svix: each message goes to every endpoint, in up to eight attempts.

All attempts of a message have one `svix-id`. Deliveries are independent of one another, so their
order is not guaranteed (docs.svix.com/retries, docs.svix.com/advanced-endpoints/fifo-endpoints).
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import partial

import httpx
import orjson

from scripts.clerk_emulator.config import Clock, Endpoint, new_id
from scripts.clerk_emulator.deliveries import (
    Attempt,
    AttemptClient,
    Delivery,
    DeliveryStatus,
    Message,
)
from scripts.clerk_emulator.events import Event
from scripts.clerk_emulator.plans import DeliveryPlan, Plans

RETRY_SCHEDULE = (0, 5, 300, 1800, 7200, 18000, 36000, 36000)
"""Seconds between each attempt and the one before (docs.svix.com/retries)."""


class Sender:
    """Queues messages and delivers each by its plan. `time_scale` multiplies the schedule."""

    def __init__(
        self,
        *,
        clock: Clock,
        endpoints: Iterable[Endpoint] = (),
        time_scale: float = 1.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.messages: dict[str, Message] = {}
        self.endpoints = list(endpoints)
        self.plans = Plans()
        self._sent = 0
        self._time_scale = time_scale
        self._client = AttemptClient(clock=clock, transport=transport)
        self._disabled: set[str] = set()
        self._not_begun: deque[tuple[Delivery, DeliveryPlan]] = deque()
        self._tasks: set[asyncio.Task[DeliveryStatus]] = set()
        self._to_be_overtaken: dict[Delivery, int] = {}
        self._in_sending = 0
        self._settled = asyncio.Event()
        self._settled.set()

    async def start(self) -> None:
        """Begin to deliver, starting with the messages that are queued already."""
        self._client.start()
        while self._not_begun:
            self._spawn(*self._not_begun.popleft())

    async def stop(self) -> None:
        """Cancel all unfinished deliveries. Their status is `FAILED`, so `replay` finds them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.stop()

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Send later messages to this endpoint too."""
        self.endpoints.append(endpoint)

    def enable(self, url: str, *, enabled: bool) -> None:
        """A disabled endpoint gets no messages. Svix disables one after five days of failures."""
        if enabled:
            self._disabled.discard(url)
        else:
            self._disabled.add(url)

    async def settled(self, seconds: float = 10.0) -> None:
        """Wait until every delivery is delivered, failed, missing or held.

        Raises `TimeoutError` after `seconds`.
        """
        async with asyncio.timeout(seconds):
            await self._settled.wait()

    def send(self, event: Event) -> Message:
        """Queue a message for every endpoint."""
        self._sent += 1
        message = Message(
            svix_id=new_id("msg"),
            number=self._sent,
            event_type=event["type"],
            user_id=event["data"].get("id"),
            body=orjson.dumps(event, option=orjson.OPT_SORT_KEYS).decode(),
        )
        self.messages[message.svix_id] = message
        plan = self.plans.take()
        for endpoint in self.endpoints:
            delivery = Delivery(message=message, endpoint=endpoint)
            message.deliveries.append(delivery)
            if not plan.drop and endpoint.url not in self._disabled:
                self._begin(delivery, plan)
        return message

    def release(self, svix_id: str | None = None) -> None:
        """Send one held message, or all of them. Raises `KeyError` for an unknown id."""
        messages = self.messages.values() if svix_id is None else [self.messages[svix_id]]
        for delivery in _deliveries(messages):
            if delivery.status is DeliveryStatus.HELD:
                self._release(delivery)

    def replay(self, *statuses: DeliveryStatus) -> int:
        """Send the deliveries in these final states again. Returns how many there are."""
        found = [one for one in _deliveries(self.messages.values()) if one.status in statuses]
        for delivery in found:
            self._begin(delivery, DeliveryPlan())
        return len(found)

    def heal(self) -> None:
        """Deliver everything: clear the plans, enable all endpoints, release, and replay."""
        self.plans.clear()
        self._disabled.clear()
        self.release()
        self.replay(DeliveryStatus.MISSING, DeliveryStatus.FAILED)

    def forget(self) -> None:
        """Remove the messages that are neither in `SENDING` nor held."""
        unfinished = {DeliveryStatus.SENDING, DeliveryStatus.HELD}
        self.messages = {
            message.svix_id: message
            for message in self.messages.values()
            if any(one.status in unfinished for one in message.deliveries)
        }

    def _begin(self, delivery: Delivery, plan: DeliveryPlan) -> None:
        if plan.overtaken_by and not plan.hold:
            self._to_be_overtaken[delivery] = plan.overtaken_by
        self._move(delivery, DeliveryStatus.HELD if plan.held else DeliveryStatus.SENDING)
        if self._client.started:
            self._spawn(delivery, plan)
        else:
            self._not_begun.append((delivery, plan))

    def _spawn(self, delivery: Delivery, plan: DeliveryPlan) -> None:
        task = asyncio.get_running_loop().create_task(self._deliver(delivery, plan))
        self._tasks.add(task)
        # A callback, because a task that is cancelled before its start runs none of its own code.
        task.add_done_callback(partial(self._ended, delivery))

    def _ended(self, delivery: Delivery, task: asyncio.Task[DeliveryStatus]) -> None:
        self._tasks.discard(task)
        self._to_be_overtaken.pop(delivery, None)
        self._move(delivery, DeliveryStatus.FAILED if task.cancelled() else task.result())

    def _move(self, delivery: Delivery, status: DeliveryStatus) -> None:
        self._in_sending -= delivery.status is DeliveryStatus.SENDING
        self._in_sending += status is DeliveryStatus.SENDING
        delivery.status = status
        if self._in_sending:
            self._settled.clear()
        else:
            self._settled.set()

    async def _deliver(self, delivery: Delivery, plan: DeliveryPlan) -> DeliveryStatus:
        if plan.held:
            await delivery.released.wait()
        if plan.delay:
            await asyncio.sleep(plan.delay)
        copies = plan.repeat
        for wait in RETRY_SCHEDULE:
            if wait:
                seconds = _with_retry_after(wait, delivery.attempts[-1])
                await asyncio.sleep(seconds * self._time_scale)
            attempts = await asyncio.gather(
                *(self._client.attempt(delivery) for _ in range(copies))
            )
            self._release_overtaken(delivery)
            if any(attempt.succeeded for attempt in attempts):
                return DeliveryStatus.DELIVERED
            copies = 1
        return DeliveryStatus.FAILED

    def _release_overtaken(self, attempted: Delivery) -> None:
        """Count this attempt for the earlier deliveries of the endpoint that wait for it."""
        for waiting, later in list(self._to_be_overtaken.items()):
            same_endpoint = waiting.endpoint == attempted.endpoint
            if not same_endpoint or waiting.message.number >= attempted.message.number:
                continue
            self._to_be_overtaken[waiting] = later - 1
            if later == 1:
                self._release(waiting)

    def _release(self, delivery: Delivery) -> None:
        """The status changes here, not in the task, so that `settled` waits for the delivery."""
        self._to_be_overtaken.pop(delivery, None)
        self._move(delivery, DeliveryStatus.SENDING)
        delivery.released.set()


def _deliveries(messages: Iterable[Message]) -> list[Delivery]:
    return [delivery for message in messages for delivery in message.deliveries]


def _with_retry_after(wait: float, attempt: Attempt) -> float:
    """Svix's server honours Retry-After between one and two times the scheduled wait."""
    asked = attempt.retry_after
    if asked is None or not (asked.isascii() and asked.isdigit()):
        return wait
    return min(max(wait, float(asked)), 2 * wait)

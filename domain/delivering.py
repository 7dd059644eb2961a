"""Deliver the changes of one subscription, as long as this process holds it."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from traceback import walk_tb
from typing import Any

from domain.cancelling import cancel_all
from domain.changes import Kind
from domain.delivery_parts import DeliveryParts
from domain.errors import StorageUnavailable
from domain.pausing import Paused, PauseWatch
from domain.schedule import Schedule, Turn
from domain.subscriptions import Delivery, Subscription, Target
from domain.user import LocalUser


class LeaseLost(Exception):
    """Another process holds the subscription, or may hold it."""


class Delivering:
    """Tasks that read changes, save the progress, and deliver: `at_once` workers.

    Reading and saving exclude each other: what is saved as read must be in the schedule.
    """

    def __init__(
        self,
        subscription: Subscription,
        target: Target,
        parts: DeliveryParts,
        position: int,
        held_until: float,
    ) -> None:
        self._subscription = subscription
        self._target = target
        self._parts = parts
        self._limits = parts.limits
        self._held_until = held_until
        self._renewed_at = -1.0
        self._saved_position = position
        self._schedule = Schedule(position, subscription.wants)
        self._ready: asyncio.PriorityQueue[tuple[int, Turn]] = asyncio.PriorityQueue()
        self._pause_watch = PauseWatch(subscription, parts)
        self._started: dict[Turn, float] = {}
        self._waiting = 0
        self._handed_out_at = self._delivered_at = float("-inf")
        self._schedule_lock = asyncio.Lock()
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopped = False
        self._clock = asyncio.get_running_loop().time

    async def until(self, stopping: asyncio.Event, grace: Callable[[], float]) -> None:
        """Deliver until `stopping` is set, then wait `grace()` seconds for deliveries in hand.

        Raises `LeaseLost`, `FellBehind` and `Paused`.
        """
        reader, stop = _started(self._read()), _started(stopping.wait())
        workers = [_started(self._work()) for _ in range(self._subscription.at_once)]
        tasks = [reader, _started(self._keep()), *workers]
        try:
            await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                self._stopped = True
                reader.cancel()
                with suppress(TimeoutError):
                    async with asyncio.timeout(grace()):
                        await self._idle.wait()
        finally:
            await cancel_all([*tasks, stop])
            ends = await asyncio.gather(*tasks, stop, return_exceptions=True)
        failures = [end for end in ends if isinstance(end, Exception)]
        faults = [failure for failure in failures if not isinstance(failure, Paused)]
        if faults:
            raise faults[0]
        await self._save()
        if failures:
            raise failures[0]
        with suppress(StorageUnavailable):
            await self._pause_watch.judge()

    async def _read(self) -> None:
        schedule, name = self._schedule, self._subscription.name
        position = -1  # the first page is read at once: the log may have gone on without us
        while True:
            await self._room.wait()
            await self._parts.newest.beyond(position)
            try:
                async with self._schedule_lock:
                    limit = min(max(self._window(), 1), self._limits.page)
                    turns = schedule.add(await self._parts.store.read(name, schedule.read, limit))
                    if turns:
                        self._handed_out_at = self._clock()
                    self._hand_out(turns)
                position = schedule.read
            except StorageUnavailable:
                await asyncio.sleep(self._limits.look)
            self._note_progress()

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.due):
                    await self._moved.wait()
                await asyncio.sleep(self._limits.save)
            self._moved.clear()
            await self._save()
            with suppress(StorageUnavailable):
                await self._pause_watch.judge()
                await self._look_for_due()

    async def _save(self) -> None:
        """Raises `LeaseLost`."""
        async with self._schedule_lock:
            self._set_long_ones_aside()
            progress = self._schedule.progress()
            is_news = progress.position != self._saved_position or progress.has_aside
            began = self._clock()
            if not is_news and began < self._renewed_at + self._limits.renew:
                return
            name, holder = self._subscription.name, self._parts.holder
            try:
                is_held = await self._parts.store.save(name, holder, progress, self._limits.lease)
            except StorageUnavailable:
                self._schedule.not_saved(progress)
                self._check_lease()
                return
            except asyncio.CancelledError:
                self._schedule.not_saved(progress)  # for the last save, at the end
                raise
            if not is_held:
                raise LeaseLost
            self._saved_position, self._renewed_at = progress.position, began
            self._held_until = began + self._limits.lease

    async def _look_for_due(self) -> None:
        schedule, name = self._schedule, self._subscription.name
        async with self._schedule_lock:
            room = self._limits.page - self._ready.qsize()
            due = await self._parts.store.due(name, schedule.in_hand, max(room, 1))
            self._waiting = due.waiting
            self._hand_out(schedule.add_due(due.changes))
            self._look_for_room()

    async def _work(self) -> None:
        while True:
            _, turn = await self._ready.get()
            if self._stopped:
                self._schedule.handed_back(turn)
                continue
            self._check_lease()
            self._started[turn] = self._clock()
            self._idle.clear()
            try:
                await self._attempt(turn)
            finally:
                del self._started[turn]
                if not self._started:
                    self._idle.set()
            self._note_progress()

    async def _attempt(self, turn: Turn) -> None:
        began = self._clock()
        delivery = Delivery(
            subscription=self._subscription.name,
            change=turn.change,
            user=None,
            attempt=turn.failures + 1,
        )
        error = await self._deliver(delivery)
        wait = self._wait_after(turn.failures) if error else None
        is_parked = error is not None and wait is None
        self._parts.report.attempted(delivery, error, self._clock() - began, parked=is_parked)
        if error is None:
            self._delivered_at = self._clock()
            self._hand_out(self._schedule.delivered(turn))
        else:
            self._schedule.failed(turn, error, wait)

    async def _deliver(self, delivery: Delivery) -> str | None:
        """Call the target. Returns the error as our own text, or None."""
        error = await self._called(delivery)
        self._pause_watch.note(error)
        return _named(error) if error else None

    async def _called(self, delivery: Delivery) -> BaseException | None:
        try:
            async with asyncio.timeout(self._subscription.deadline):
                await self._target(await self._with_record(delivery))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error  # the target's own task was cancelled, not this one
        except Exception as error:  # noqa: BLE001 - any error of a target is a failure
            return error
        return None

    async def _with_record(self, delivery: Delivery) -> Delivery:
        """The delivery with the user's record, read just before each attempt."""
        change = delivery.change
        if change.kind is Kind.DELETED:
            return delivery
        record = await self._parts.users.get(change.clerk_id)
        return Delivery(
            subscription=delivery.subscription,
            change=change,
            user=record if isinstance(record, LocalUser) else None,
            attempt=delivery.attempt,
        )

    def _wait_after(self, failures: int) -> float | None:
        """Seconds until the next try; None if there is none."""
        pauses = self._subscription.pauses
        if failures >= len(pauses):
            return None
        return pauses[failures] * random.uniform(0.75, 1.25)  # noqa: S311 - jitter

    def _set_long_ones_aside(self) -> None:
        now = self._clock()
        for turn, since in self._started.items():
            if now - since > self._limits.long:
                self._schedule.set_aside(turn)

    def _hand_out(self, turns: Sequence[Turn]) -> None:
        """Put the turns into the queue, the earliest position first.

        The saved position stays before the first change that is not settled: what was delivered
        beyond it is repeated after a crash.
        """
        for turn in turns:
            self._ready.put_nowait((turn.position, turn))

    def _note_progress(self) -> None:
        self._moved.set()
        self._look_for_room()

    def _look_for_room(self) -> None:
        if self._schedule.unsettled < self._window():
            self._room.set()
        else:
            self._room.clear()

    def _window(self) -> int:
        """How many changes may be read and not settled.

        While too many wait for another try, the target may be down, and what is read would only be
        set aside. A single change, now and then, shows whether it is up again.
        """
        limits, now = self._limits, self._clock()
        if self._waiting + self._schedule.aside < limits.failing:
            return limits.window
        if now < self._delivered_at + limits.trial:
            return self._subscription.at_once
        return 1 if now >= self._handed_out_at + limits.trial else 0

    def _check_lease(self) -> None:
        if self._clock() >= self._held_until:
            raise LeaseLost


def _named(error: BaseException) -> str:
    """The error's type and place in the code. Its message may hold personal data."""
    kind = type(error).__name__
    frames = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    if not frames or isinstance(error, TimeoutError):
        return kind
    file, line = frames[-1]
    return f"{kind} at {file.replace(chr(92), '/').rpartition('/')[2]}:{line}"


def _started(work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.create_task(work)

"""Delivers the changes of one subscription, one process at a time."""

import asyncio
from contextlib import suppress

from domain.delivering import Delivering, LeaseLost
from domain.errors import FellBehind, StorageUnavailable
from domain.pausing import Paused
from domain.subscriptions import Subscription, Target
from domain.surroundings import Surroundings

_AFTER_FALLING_BEHIND = 60.0


class DeliverChanges:
    """Delivers one subscription until `stop`, whenever no other process holds it."""

    def __init__(self, subscription: Subscription, target: Target, around: Surroundings) -> None:
        self._subscription = subscription
        self._target = target
        self._around = around
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()
        self._grace = 0.0

    async def __call__(self) -> None:
        self._ended.clear()
        try:
            while not self._stopping.is_set():
                await self._hold_and_deliver()
        finally:
            self._ended.set()

    async def stop(self, grace: float) -> None:
        """Start no delivery, wait `grace` seconds for those in hand, and release the rest."""
        self._grace = grace
        self._stopping.set()
        await self._ended.wait()

    async def _hold_and_deliver(self) -> None:
        around, name = self._around, self._subscription.name
        pause = around.limits.look
        with suppress(StorageUnavailable):
            await around.store.declare(self._subscription)
            began = asyncio.get_running_loop().time()
            position = await around.store.take(name, around.holder, around.limits.lease)
            if position is not None:
                pause = await self._deliver(position, began + around.limits.lease)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()

    async def _deliver(self, position: int, held_until: float) -> float:
        """Deliver as long as we hold the subscription. Returns the pause before the next try."""
        around, name = self._around, self._subscription.name
        delivering = Delivering(self._subscription, self._target, around, position, held_until)
        around.report.held(name, is_held=True)
        try:
            await delivering.until(self._stopping, lambda: self._grace)
        except LeaseLost:
            return around.limits.look
        except FellBehind:
            around.report.fell_behind(name)
            return _AFTER_FALLING_BEHIND
        except Paused as reason:
            around.report.paused(name, str(reason))
            return around.limits.look
        finally:
            around.report.held(name, is_held=False)
            with suppress(StorageUnavailable):
                await around.store.release(name, around.holder)
        return 0.0

"""Delivers the changes of one subscription, one process at a time."""

import asyncio
from contextlib import suppress

from domain.delivering import Delivering, LeaseLost
from domain.delivery_parts import DeliveryParts
from domain.errors import FellBehind, StorageUnavailable
from domain.pausing import Paused
from domain.subscriptions import Subscription, Target

_AFTER_FALLING_BEHIND = 60.0


class DeliverChanges:
    """Delivers one subscription until `stop`, whenever no other process holds it."""

    def __init__(self, subscription: Subscription, target: Target, parts: DeliveryParts) -> None:
        self._subscription = subscription
        self._target = target
        self._parts = parts
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
        parts, name = self._parts, self._subscription.name
        pause = parts.limits.look
        with suppress(StorageUnavailable):
            await parts.store.declare(self._subscription)
            began = asyncio.get_running_loop().time()
            position = await parts.store.take(name, parts.holder, parts.limits.lease)
            if position is not None:
                pause = await self._deliver(position, began + parts.limits.lease)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._stopping.wait()

    async def _deliver(self, position: int, held_until: float) -> float:
        """Deliver as long as we hold the subscription. Returns the pause before the next try."""
        parts, name = self._parts, self._subscription.name
        delivering = Delivering(self._subscription, self._target, parts, position, held_until)
        parts.report.held(name, is_held=True)
        try:
            await delivering.until(self._stopping, lambda: self._grace)
        except LeaseLost:
            return parts.limits.look
        except FellBehind:
            parts.report.fell_behind(name)
            return _AFTER_FALLING_BEHIND
        except Paused as reason:
            parts.report.paused(name, str(reason))
            return parts.limits.look
        finally:
            parts.report.held(name, is_held=False)
            with suppress(StorageUnavailable):
                await parts.store.release(name, parts.holder)
        return 0.0

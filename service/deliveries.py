"""Runs the subscriptions of this process."""

import asyncio
import os
import socket
from collections.abc import Sequence
from importlib import import_module
from uuid import uuid4

from structlog.typing import FilteringBoundLogger

from domain.deliver_changes import DeliverChanges
from domain.delivery_parts import DeliveryLimits, DeliveryParts, DeliveryReport
from domain.newest_position import NewestPosition
from domain.subscriptions import Delivery, Subscription, Target
from service.changes import Changes
from service.jobs import Jobs
from service.metrics import Metrics
from service.services import Store


class NameTakenTwice(ValueError):
    """Two subscriptions have one name: only one of them would run."""


class Deliveries:
    """The subscriptions of this process. Each runs as one background job."""

    def __init__(
        self,
        targets: Sequence[tuple[Subscription, Target]],
        store: Store,
        newest: NewestPosition,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        """Raises `NameTakenTwice`."""
        names = [subscription.name for subscription, _ in targets]
        if twice := {name for name in names if names.count(name) > 1}:
            raise NameTakenTwice(f"two subscriptions are named {', '.join(sorted(twice))}")
        parts = DeliveryParts(
            store=store.subscriptions,
            users=store.users,
            newest=newest,
            report=_Report(metrics, log),
            holder=_this_process(),
            limits=DeliveryLimits(),
        )
        self._running = {
            subscription.name: DeliverChanges(subscription, target, parts)
            for subscription, target in targets
        }

    def start(self, jobs: Jobs) -> None:
        """Deliver from now on."""
        for name, deliver in self._running.items():
            jobs.start(f"changes: {name}", deliver)

    async def stop(self, grace: float) -> None:
        """Begin no more deliveries, and wait `grace` seconds for those that have begun. The process
        that runs the subscription next delivers the rest.
        """
        await asyncio.gather(*(deliver.stop(grace) for deliver in self._running.values()))


def load_handlers(place: str) -> Changes:
    """The `Changes` at `module:name`. Raises `ValueError`, whose text is for the operator."""
    module, _, name = place.partition(":")
    try:
        found = getattr(import_module(module), name)
    except ImportError as error:
        raise ValueError(f"{module} cannot be imported: {error}") from error
    except AttributeError as error:
        raise ValueError(f"{module} has no {name}") from error
    if not isinstance(found, Changes):
        raise ValueError(f"{place} is not a Changes")  # noqa: TRY004 - the setting is wrong
    return found


def _this_process() -> str:
    return f"{os.getpid()}@{socket.gethostname()[:20]} {uuid4().hex[:8]}"


class _Report(DeliveryReport):
    def __init__(self, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self._log = log

    def attempted(
        self, delivery: Delivery, error: str | None, seconds: float, *, parked: bool
    ) -> None:
        outcome = "parked" if parked else "failed" if error else "delivered"
        self._metrics.change_attempted(delivery.subscription, outcome, seconds)
        if error is not None:
            self._log.warning(
                "change_parked" if parked else "change_failed",
                subscription=delivery.subscription,
                position=delivery.change.position,
                user_id=delivery.change.clerk_id,
                attempt=delivery.attempt,
                cause=error,
            )

    def held(self, subscription: str, *, is_held: bool) -> None:
        self._metrics.subscription_held(subscription, is_held=is_held)
        self._log.info(
            "subscription_held" if is_held else "subscription_released", subscription=subscription
        )

    def fell_behind(self, subscription: str) -> None:
        self._log.error("subscription_fell_behind", subscription=subscription)

    def paused(self, subscription: str, reason: str) -> None:
        self._log.error("subscription_paused", subscription=subscription, cause=reason)

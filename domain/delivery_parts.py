"""What all subscriptions of a process share: the store, the records, the limits and the report."""

from dataclasses import dataclass
from typing import Protocol

from domain.change_log import SubscriptionStore
from domain.newest_position import NewestPosition
from domain.ports import UserRepository
from domain.subscriptions import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """Times in seconds.

    A process holds a subscription for `lease`, and renews that every `renew`; other processes try
    to take over every `look`. Progress is saved every `save`, so that little is repeated after a
    crash. Changes set aside are looked up after each save, and every `due`. A delivery that takes
    longer than `long` is set aside while it continues. A page has `page` changes; at most `window`
    are read and not settled. Once `failing` of them wait for another try, it is at most
    `Subscription.at_once`; after `trial` without a delivery, one is read every `trial`.
    """

    lease: float = 5.0
    renew: float = 1.0
    look: float = 1.0
    save: float = 0.1
    due: float = 0.5
    long: float = 1.0
    page: int = 500
    window: int = 2_000
    failing: int = 1_000
    trial: float = 30.0


class DeliveryReport(Protocol):
    """Counts and logs deliveries. No method may raise."""

    def attempted(
        self, delivery: Delivery, error: str | None, seconds: float, *, parked: bool
    ) -> None:
        """One attempt; `error` is None if it was delivered."""
        ...

    def held(self, subscription: str, *, is_held: bool) -> None:
        """Whether this process runs the subscription now."""
        ...

    def fell_behind(self, subscription: str) -> None:
        """The subscription stops, until an operator sets its position."""
        ...

    def paused(self, subscription: str, reason: str) -> None:
        """The subscription stops, until an operator resumes it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryParts:
    """The parts that all subscriptions of a process share. `holder` is unique to the process."""

    store: SubscriptionStore
    users: UserRepository
    newest: NewestPosition
    report: DeliveryReport
    holder: str
    limits: DeliveryLimits

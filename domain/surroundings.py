"""What the deliveries of one process have in common: store, records, limits, and what is told."""

from dataclasses import dataclass
from typing import Protocol

from domain.change_log import SubscriptionStore
from domain.newest_position import NewestPosition
from domain.ports import UserRepository
from domain.subscriptions import Delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """Times in seconds.

    `lease` is how long a process that died keeps others out; a living one renews it each `renew`.
    `look` is how often others try to take over. Progress is saved each `save`, so a process that
    dies leaves little to repeat. What is set aside is asked for each `due`. A delivery that takes
    longer than `long` is set aside while it goes on. `page` changes are read at once, `window` of
    them are unsettled at most, and while `failing` of them wait for another try no more are read.
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


class DeliveryReport(Protocol):
    """What is counted and logged. Nothing of it may raise."""

    def attempted(
        self, delivery: Delivery, error: str | None, seconds: float, *, parked: bool
    ) -> None:
        """One attempt; `error` is None if it was delivered."""
        ...

    def held(self, subscription: str, *, is_held: bool) -> None:
        """Whether this process runs the subscription now."""
        ...

    def fell_behind(self, subscription: str) -> None:
        """It stands still, until an operator says where to go on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all subscriptions of a process have in common. `holder` is unique to the process."""

    store: SubscriptionStore
    users: UserRepository
    newest: NewestPosition
    report: DeliveryReport
    holder: str
    limits: DeliveryLimits

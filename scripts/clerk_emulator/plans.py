"""How the next messages are delivered: normally, or dropped, repeated, delayed or reordered."""

import random
from collections import deque

from pydantic import BaseModel, ConfigDict, Field

MOST_COPIES = 3
"""Of one message, when its repetition is random."""
MOST_OVERTAKING = 3
"""Later messages that arrive first, when reordering is random."""


class DeliveryPlan(BaseModel):
    """How one message is delivered. The default is a single delivery without delay.

    - `drop`: not sent, until it is replayed.
    - `hold`: not sent, until it is released.
    - `repeat`: the first attempt is made this many times at once.
    - `delay`: seconds before the first attempt.
    - `overtaken_by`: not sent before this many attempts at later messages were made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop: bool = False
    hold: bool = False
    repeat: int = Field(default=1, ge=1, le=1000)
    delay: float = Field(default=0.0, ge=0.0)
    overtaken_by: int = Field(default=0, ge=0)

    @property
    def held(self) -> bool:
        """Whether the first attempt waits for an event rather than for a time."""
        return self.hold or self.overtaken_by > 0


class FaultPlan(BaseModel):
    """Random delivery plans. The same seed gives the same plans.

    `drop`, `repeat`, `delay` and `reorder` are probabilities from 0 to 1 for each message, in the
    order of their creation. `longest_delay` is seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    drop: float = Field(default=0.0, ge=0.0, le=1.0)
    repeat: float = Field(default=0.0, ge=0.0, le=1.0)
    delay: float = Field(default=0.0, ge=0.0, le=1.0)
    reorder: float = Field(default=0.0, ge=0.0, le=1.0)
    longest_delay: float = Field(default=0.05, ge=0.0)


class RandomPlans:
    """Draws one delivery plan after another from a fault plan."""

    def __init__(self, fault_plan: FaultPlan) -> None:
        self._plan = fault_plan
        self._random = random.Random(fault_plan.seed)  # noqa: S311 - for runs that can be repeated

    def draw(self) -> DeliveryPlan:
        """Each call draws every number, so that one probability does not affect the others."""
        plan = self._plan
        dropped, repeated, delayed, reordered = (self._random.random() for _ in range(4))
        copies = self._random.randint(2, MOST_COPIES)
        delay = self._random.uniform(0.0, plan.longest_delay)
        overtaken_by = self._random.randint(1, MOST_OVERTAKING)
        return DeliveryPlan(
            drop=dropped < plan.drop,
            repeat=copies if repeated < plan.repeat else 1,
            delay=delay if delayed < plan.delay else 0.0,
            overtaken_by=overtaken_by if reordered < plan.reorder else 0,
        )


class Plans:
    """The plan of the next message: one made for it, else a random one, else the default."""

    def __init__(self) -> None:
        self._next: deque[DeliveryPlan] = deque()
        self._random: RandomPlans | None = None

    def for_next(self, *plans: DeliveryPlan) -> None:
        """Plan the next messages, one plan for each."""
        self._next.extend(plans)

    def from_seed(self, fault_plan: FaultPlan) -> None:
        """Draw a random plan for every message that has none from `for_next`."""
        self._random = RandomPlans(fault_plan)

    def clear(self) -> None:
        """Deliver every further message by the default plan."""
        self._next.clear()
        self._random = None

    def take(self) -> DeliveryPlan:
        """Remove and return the plan of the next message."""
        if self._next:
            return self._next.popleft()
        return DeliveryPlan() if self._random is None else self._random.draw()

"""What is to become of the next messages: all well, or some misfortune."""

import random
from collections import deque

from pydantic import BaseModel, ConfigDict, Field


class DeliveryPlan(BaseModel):
    """How one message is delivered. The default is what Svix does on a good day.

    `drop`: not sent until asked for again. `hold`: not sent until released. `overtaken_by`: not
    sent before so many attempts at later messages were made (reordering), or until released.
    `delay`: seconds before the first attempt. `repeat`: the first attempt arrives that many
    times, at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop: bool = False
    hold: bool = False
    repeat: int = Field(default=1, ge=1, le=1000)
    delay: float = Field(default=0.0, ge=0.0)
    overtaken_by: int = Field(default=0, ge=0)

    @property
    def held(self) -> bool:
        """Whether it waits for somebody before its first attempt."""
        return self.hold or self.overtaken_by > 0


class FaultPlan(BaseModel):
    """Chances of a message's misfortune; the same seed gives the same misfortunes.

    `drop`, `repeat`, `delay` and `reorder` are probabilities from 0 to 1, drawn in the order in
    which the messages come into being. `longest_delay` is seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int
    drop: float = Field(default=0.0, ge=0.0, le=1.0)
    repeat: float = Field(default=0.0, ge=0.0, le=1.0)
    delay: float = Field(default=0.0, ge=0.0, le=1.0)
    reorder: float = Field(default=0.0, ge=0.0, le=1.0)
    longest_delay: float = Field(default=0.05, ge=0.0)
    most_repeats: int = Field(default=3, ge=2, le=1000)
    furthest_overtaken: int = Field(default=3, ge=1)


class Misfortune:
    """Draws one delivery plan after another from a fault plan."""

    def __init__(self, fault_plan: FaultPlan) -> None:
        self._plan = fault_plan
        self._random = random.Random(fault_plan.seed)  # noqa: S311 - a run that can be repeated

    def draw(self) -> DeliveryPlan:
        """Every draw is made every time, so that one probability does not shift the others."""
        plan = self._plan
        dropped, repeated, delayed, reordered = (self._random.random() for _ in range(4))
        copies = self._random.randint(2, plan.most_repeats)
        delay = self._random.uniform(0.0, plan.longest_delay)
        later = self._random.randint(1, plan.furthest_overtaken)
        return DeliveryPlan(
            drop=dropped < plan.drop,
            repeat=copies if repeated < plan.repeat else 1,
            delay=delay if delayed < plan.delay else 0.0,
            overtaken_by=later if reordered < plan.reorder else 0,
        )


class Plans:
    """Which plan the next message gets: its own, else the seed's, else the standing one."""

    def __init__(self) -> None:
        self._next: deque[DeliveryPlan] = deque()
        self._misfortune: Misfortune | None = None
        self._standing = DeliveryPlan()

    def for_next(self, *plans: DeliveryPlan) -> None:
        """One plan for each of the next messages."""
        self._next.extend(plans)

    def for_all(self, plan: DeliveryPlan) -> None:
        """The plan of every message that has no other."""
        self._standing = plan

    def from_seed(self, fault_plan: FaultPlan) -> None:
        """A seeded misfortune for every message that has no plan of its own."""
        self._misfortune = Misfortune(fault_plan)

    def clear(self) -> None:
        """All well again."""
        self._next.clear()
        self._misfortune = None
        self._standing = DeliveryPlan()

    def take(self) -> DeliveryPlan:
        if self._next:
            return self._next.popleft()
        return self._standing if self._misfortune is None else self._misfortune.draw()

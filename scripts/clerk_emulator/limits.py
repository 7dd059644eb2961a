"""Clerk's quota, and the count of the calls it was asked."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class RateLimit:
    """At most `limit` calls in any `window` seconds; None is no limit.

    Clerk docs, "System limits": 100 per 10 s for a development instance, 1,000 for production,
    counted by secret key. A refused call does not count.
    """

    def __init__(
        self,
        limit: int | None,
        window: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window = window
        self._monotonic = monotonic
        self._admitted: deque[float] = deque()

    def refused_for(self) -> int | None:
        """Whole seconds until another call is admitted; None if this one is."""
        if self._limit is None:
            return None
        now = self._monotonic()
        while self._admitted and self._admitted[0] <= now - self._window:
            self._admitted.popleft()
        if len(self._admitted) < self._limit:
            self._admitted.append(now)
            return None
        return max(1, math.ceil(self._admitted[0] + self._window - now))


class _Period:
    """What was called between two moments, whenever it was answered."""

    def __init__(self) -> None:
        self.statuses: dict[str, Counter[int]] = {}
        self.in_flight: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()


class Calls:
    """How often each operation was called, what it answered and how many ran at once."""

    def __init__(self) -> None:
        self._period = _Period()

    @contextmanager
    def in_flight(self, operation: str) -> Iterator[Callable[[int], None]]:
        """Yields what takes the status of the answer."""
        period = self._period
        period.in_flight[operation] += 1
        period.peak[operation] = max(period.peak[operation], period.in_flight[operation])

        def record(status: int) -> None:
            period.statuses.setdefault(operation, Counter())[status] += 1

        try:
            yield record
        finally:
            period.in_flight[operation] -= 1

    def count(self, operation: str | None = None, status: int | None = None) -> int:
        """Calls answered so far: of one operation or all, with one status or any."""
        everything = self._period.statuses.values()
        counters = everything if operation is None else [self._of(operation)]
        return sum(counter.total() if status is None else counter[status] for counter in counters)

    def peak(self, operation: str) -> int:
        """The most that were in flight at once."""
        return self._period.peak[operation]

    def clear(self) -> None:
        """Count from zero. What is still in flight belongs to the time before."""
        self._period = _Period()

    def report(self) -> dict[str, Any]:
        """As `GET /emulator/calls` shows it."""
        return {
            name: {
                "total": counter.total(),
                "peak": self._period.peak[name],
                "by_status": {str(status): count for status, count in counter.items()},
            }
            for name, counter in self._period.statuses.items()
        }

    def _of(self, operation: str) -> Counter[int]:
        return self._period.statuses.get(operation, Counter())

"""Clerk's rate limit, and a count of the API calls."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class RateLimit:
    """At most `limit` calls in any `window` seconds. A `limit` of None admits every call.

    Clerk docs, "System limits": 100 calls in 10 seconds for each secret key of a development
    instance, 1,000 in production. A refused call does not count.
    """

    def __init__(
        self,
        limit: int | None,
        window: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window = window
        self._monotonic = monotonic
        self._admitted: deque[float] = deque()

    def refused_for(self) -> int | None:
        """None if this call is admitted, else the whole seconds until the next one will be."""
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
    """The calls that began between two `clear`s, whenever they were answered."""

    def __init__(self) -> None:
        self.statuses: dict[str, Counter[int]] = {}
        self.in_flight: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()


class Calls:
    """For each operation: its calls by status, and how many of them ran at once."""

    def __init__(self) -> None:
        self._period = _Period()

    @contextmanager
    def in_flight(self, operation: str) -> Iterator[Callable[[int], None]]:
        """Count one call. Yields a function that records the status of its answer."""
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
        """Answered calls, of one operation or of all, with one status or any."""
        statuses = self._period.statuses
        counters = statuses.values() if operation is None else [statuses.get(operation, Counter())]
        return sum(counter.total() if status is None else counter[status] for counter in counters)

    def peak(self, operation: str) -> int:
        """The greatest number of calls in flight at once."""
        return self._period.peak[operation]

    def clear(self) -> None:
        """Count from zero. Calls still in flight are not counted."""
        self._period = _Period()

    def report(self) -> dict[str, Any]:
        """The answer of `GET /emulator/calls`."""
        return {
            name: {
                "total": counter.total(),
                "peak": self._period.peak[name],
                "by_status": {str(status): count for status, count in counter.items()},
            }
            for name, counter in self._period.statuses.items()
        }

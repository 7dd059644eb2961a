"""How often somebody may guess."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

ALLOWED = 10
WITHIN = 60.0
"""Seconds."""
REMEMBERED = 1000
"""Addresses. Beyond that all are forgotten at once: a token cannot be guessed in any number."""


class Attempts:
    """Failed sign-ins, by the address they come from."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: defaultdict[str, deque[float]] = defaultdict(deque)

    def are_exhausted(self, address: str) -> bool:
        failures = self._failures.get(address, deque())
        while failures and failures[0] <= self._clock() - WITHIN:
            failures.popleft()
        return len(failures) >= ALLOWED

    def failed(self, address: str) -> None:
        if len(self._failures) >= REMEMBERED:
            self._failures.clear()
        self._failures[address].append(self._clock())

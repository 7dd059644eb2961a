"""A circuit breaker: stops calls to Clerk after failures, and allows single calls as probes."""

import math
import time
from collections import deque
from collections.abc import Callable


class CircuitBreaker:
    """Closed until `failures` in a row within `window` seconds; then open for `pause` seconds.

    After the pause, one call in every `pause` is allowed, until one succeeds. A `Retry-After` is
    obeyed for at most `longest_hold` seconds: one wrong header must not stop calls for a day.
    Without another failure, it counts as failing for `memory` seconds. `clock` counts seconds and
    never goes back.
    """

    def __init__(
        self,
        *,
        failures: int = 5,
        window: float = 10.0,
        pause: float = 5.0,
        longest_hold: float = 60.0,
        memory: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._window = window
        self._pause = pause
        self._longest_hold = longest_hold
        self._memory = memory
        self._clock = clock
        self._is_open = False
        self._tripped_at = -math.inf
        self._open_until = -math.inf
        self._held_until = -math.inf

    @property
    def is_failing(self) -> bool:
        """Whether it is open after a recent failure. An older one says nothing about now."""
        return self._is_open and self._clock() - self._tripped_at < self._memory

    def wait(self) -> float:
        """Seconds until a call is allowed; 0 if it is allowed now."""
        return max(0.0, max(self._open_until, self._held_until) - self._clock())

    def entered(self) -> None:
        """Note the start of a call. While open it is the only probe in this pause."""
        if self._is_open:
            self._open_until = self._clock() + self._pause

    def succeeded(self) -> None:
        self._failed_at.clear()
        self._is_open = False
        self._open_until = -math.inf

    def failed(self) -> None:
        now = self._clock()
        self._failed_at.append(now)
        enough = len(self._failed_at) == self._failed_at.maxlen
        if self._is_open or (enough and now - self._failed_at[0] <= self._window):
            self.trip()

    def trip(self) -> None:
        """Open at once, after an error that other calls would meet too."""
        self._is_open = True
        self._tripped_at = self._clock()
        self._open_until = self._tripped_at + self._pause

    def hold(self, seconds: float) -> None:
        """Allow no calls for this long, after a `Retry-After`."""
        until = self._clock() + min(seconds, self._longest_hold)
        self._held_until = max(self._held_until, until)

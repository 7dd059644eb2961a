"""The one source of randomness of a simulated world, and the trace of its events."""

import asyncio
import hashlib
import random
import re
from collections import Counter
from collections.abc import Sequence

_IDS = re.compile(r"\b(?:msg|user)_[0-9A-Za-z]{27}\b")
LATENCIES = (0.0, 0.0, 0.001, 0.004, 0.03, 0.4)


class Fortune:
    """Draws from one seed and records the events. `latencies` are in seconds."""

    def __init__(self, seed: int, latencies: Sequence[float] = LATENCIES) -> None:
        self.chance = random.Random(seed)
        self._latencies = latencies
        self.happened: Counter[str] = Counter()
        self._trace: list[str] = []
        self._numbers: dict[str, str] = {}
        self._down_until = {"clerk": 0.0, "store": 0.0}

    async def latency(self) -> None:
        """Wait as long as one message takes on the network."""
        await asyncio.sleep(self.chance.choice(self._latencies))

    def befalls(self, probability: float) -> bool:
        return self.chance.random() < probability

    def cut_off(self, what: str, seconds: float) -> None:
        """Make `clerk` or `store` unreachable for that long."""
        now = asyncio.get_running_loop().time()
        self._down_until[what] = max(self._down_until[what], now + seconds)

    def is_cut_off(self, what: str) -> bool:
        return self._down_until[what] > asyncio.get_running_loop().time()

    def restore(self) -> None:
        self._down_until = dict.fromkeys(self._down_until, 0.0)

    def note(self, what: str, *details: object) -> None:
        """Add a line to the trace. Random ids are numbered in the order in which they appear."""
        self.happened[what] += 1
        now = asyncio.get_running_loop().time()
        words = " ".join([what, *map(str, details)])
        self._trace.append(f"{now:.6f} {_IDS.sub(self._number, words)}")

    @property
    def trace(self) -> list[str]:
        return list(self._trace)

    @property
    def digest(self) -> str:
        """Equal for equal traces."""
        return hashlib.sha256("\n".join(self._trace).encode()).hexdigest()

    def _number(self, found: "re.Match[str]") -> str:
        return self._numbers.setdefault(found[0], f"#{len(self._numbers) + 1}")

"""What the last full comparison with Clerk came to, kept where every replica finds it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from domain.ports import Checkpoints

LAST_SWEEP = "reconcile.last_sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A full comparison that came to its end. `found` and `repaired` are by kind of drift.

    `held_back` rows were too many to tombstone unasked.
    """

    ended_at: datetime
    compared: int
    found: Mapping[str, int]
    repaired: Mapping[str, int]
    held_back: int = 0

    @property
    def left(self) -> int:
        """Rows that disagreed still when it ended."""
        return sum(self.found.values()) - sum(self.repaired.values())


async def save_sweep(checkpoints: Checkpoints, sweep: Sweep) -> None:
    """Raises `StorageUnavailable`."""
    fields = {**asdict(sweep), "ended_at": sweep.ended_at.isoformat()}
    await checkpoints.save(LAST_SWEEP, json.dumps(fields))


async def load_sweep(checkpoints: Checkpoints) -> Sweep | None:
    """None if there was never one. Raises `StorageUnavailable`."""
    saved = await checkpoints.load(LAST_SWEEP)
    if saved is None:
        return None
    fields = json.loads(saved)
    return Sweep(**{**fields, "ended_at": datetime.fromisoformat(fields["ended_at"])})

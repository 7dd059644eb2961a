"""Which users differ between our table and Clerk."""

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.drift import DriftKind, Findings, differing_fields
from domain.ports import LeftOut
from domain.user import UserId
from tests.people import user

ADA = UserId("user_ada")
THEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("ours", "clerks"), [(1, True), (1, 1.0), ([0], [False])])
def test_metadata_that_is_equal_only_in_python_differs(ours: Any, clerks: Any) -> None:
    here, at_clerk = (user(ADA, public_metadata={"plan": value}) for value in (ours, clerks))
    assert differing_fields(here, at_clerk) == ("public_metadata",)
    assert differing_fields(here, here) == ()


def test_users_who_cannot_be_read_are_left_by_a_comparison() -> None:
    found, repaired = Counter({DriftKind.MISSING: 2}), Counter({DriftKind.MISSING: 1})
    left_out = [LeftOut(clerk_id="?", reason="no_id"), LeftOut(clerk_id=ADA, reason="no_id")]
    sweep = Findings(found=found, repaired=repaired, left_out=left_out).as_sweep(THEN)
    assert (sweep.left, sweep.unreadable) == (3, 2)
    assert Findings(found=found, repaired=found).as_sweep(THEN).left == 0


def test_a_replica_of_1_0_can_read_a_sweep() -> None:
    """It knows these fields and no others."""
    left_out = [LeftOut(clerk_id=ADA, reason="no_id")]
    fields = asdict(Findings(left_out=left_out).as_sweep(THEN))
    assert set(fields) == {"ended_at", "compared", "found", "repaired", "held_back"}

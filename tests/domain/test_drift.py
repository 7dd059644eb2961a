"""Which users differ between our table and Clerk."""

from typing import Any

import pytest

from domain.drift import differing_fields
from domain.user import UserId
from tests.people import user

ADA = UserId("user_ada")


@pytest.mark.parametrize(("ours", "clerks"), [(1, True), (1, 1.0), ([0], [False])])
def test_metadata_that_is_equal_only_in_python_differs(ours: Any, clerks: Any) -> None:
    here, at_clerk = (user(ADA, public_metadata={"plan": value}) for value in (ours, clerks))
    assert differing_fields(here, at_clerk) == ("public_metadata",)
    assert differing_fields(here, here) == ()

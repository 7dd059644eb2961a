"""The laws of the one rule everything else rests on."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.user import (
    DeletedUser,
    Outcome,
    User,
    UserChange,
    UserId,
    UserState,
    join,
    outcome_of,
    parse_user_id,
)
from tests.histories import changes
from tests.people import at, user

ADA = UserId("user_ada")
observations = changes(ADA)
states: st.SearchStrategy[UserState] = st.one_of(st.none(), observations)


@given(observations, observations)
def test_join_is_commutative(one: UserChange, other: UserChange) -> None:
    assert join(one, other) == join(other, one)


@given(states, observations, observations)
def test_join_is_associative(stored: UserState, one: UserChange, other: UserChange) -> None:
    assert join(join(stored, one), other) == join(stored, join(one, other))


@given(states, observations)
def test_join_is_idempotent(stored: UserState, observed: UserChange) -> None:
    once = join(stored, observed)
    assert join(once, observed) == once


@given(states, observations)
def test_join_gives_one_of_the_two(stored: UserState, observed: UserChange) -> None:
    assert join(stored, observed) in (stored, observed)


@given(st.lists(observations, min_size=1, max_size=8), st.randoms())
def test_the_order_of_arrival_never_shows(history: list[UserChange], random: object) -> None:
    shuffled = list(history)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert reduce(join, shuffled) == reduce(join, history)


@given(st.lists(observations, min_size=1, max_size=8))
def test_a_deletion_anywhere_is_the_end(history: list[UserChange]) -> None:
    deleted = any(isinstance(change, DeletedUser) for change in history)
    assert isinstance(reduce(join, history), DeletedUser) == deleted


@given(states, observations)
def test_the_outcome_says_what_the_join_did(stored: UserState, observed: UserChange) -> None:
    outcome = outcome_of(stored, observed)
    after = join(stored, observed)
    if outcome.changed_state:
        assert after == observed != stored
    elif outcome is Outcome.UNCHANGED:
        assert _shown(after) == _shown(stored)
    else:
        assert after == stored != observed


def _shown(state: UserState) -> object:
    """What anyone but the rule itself can see."""
    return (state.clerk_updated_at, state.digest) if isinstance(state, User) else type(state)


def test_the_digest_follows_the_contents_and_nothing_else() -> None:
    one = user(ADA, updated=1, seen=1, public_metadata={"a": 1, "b": 2})
    same = user(ADA, updated=2, seen=3, public_metadata={"b": 2, "a": 1})
    other = user(ADA, updated=1, seen=1, public_metadata={"a": 1, "b": 3})
    assert one.digest == same.digest != other.digest


def test_two_deletions_at_once_are_one() -> None:
    tombstone = DeletedUser(clerk_id=ADA, deleted_at=at(1))
    assert join(tombstone, DeletedUser(clerk_id=ADA, deleted_at=at(1))) == tombstone


@pytest.mark.parametrize(
    "unverified",
    ["", "user_", "usr_1", "user_a/b", "user_../x", "user_%2e", "user_a\n", "user_ä", " user_a",
     "user_" + "a" * 121, None, 5, ["user_a"]],
)  # fmt: skip
def test_only_the_shape_of_a_clerk_id_is_a_user_id(unverified: object) -> None:
    with pytest.raises(ValueError, match="not a Clerk user id"):
        parse_user_id(unverified)


def test_a_clerk_id_is_a_user_id() -> None:
    assert parse_user_id("user_3mOfoNu13tPBTVWNKnzbmPKu4L5") == "user_3mOfoNu13tPBTVWNKnzbmPKu4L5"

"""The laws of the ordering rule."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, timedelta, timezone
from functools import reduce
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.user import (
    CONTENT_FIELDS,
    DIGEST_FORMAT,
    DeletedUser,
    EmailAddress,
    Outcome,
    Source,
    User,
    UserChange,
    UserId,
    UserState,
    join,
    outcome_of,
    parse_user_id,
    supersedes,
)
from tests.histories import changes
from tests.people import at, user

pytestmark = pytest.mark.fuzz

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


@given(observations, observations)
def test_of_two_that_differ_exactly_one_is_the_greater(one: UserChange, other: UserChange) -> None:
    assert supersedes(one, other) + supersedes(other, one) == (one != other)


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


ADA_1, ADA_2 = user(ADA, updated=1), user(ADA, updated=2)
GONE_1, GONE_2 = (DeletedUser(clerk_id=ADA, deleted_at=at(when)) for when in (1, 2))
OUTCOMES: list[tuple[UserState, UserChange, str]] = [
    (None, ADA_1, "created"),
    (None, GONE_1, "deleted"),
    (ADA_1, ADA_2, "updated"),
    (ADA_1, replace(ADA_1, clerk_updated_at=at(2), last_sign_in_at=at(2)), "unchanged"),
    (replace(ADA_1, clerk_updated_at=at(2)), ADA_1, "stale"),
    (ADA_1, user(ADA, updated=1, seen=2, first_name="Ada"), "updated"),
    (ADA_1, ADA_1, "unchanged"),
    (ADA_1, user(ADA, updated=1, seen=2), "unchanged"),
    (ADA_2, ADA_1, "stale"),
    (ADA_2, GONE_1, "deleted"),
    (GONE_1, ADA_2, "gone"),
    (GONE_1, GONE_1, "unchanged"),
    (GONE_1, GONE_2, "unchanged"),
    (GONE_2, GONE_1, "unchanged"),
]


@pytest.mark.parametrize(("stored", "observed", "outcome"), OUTCOMES)
def test_the_outcome_is_the_word_for_what_happened(
    stored: UserState, observed: UserChange, outcome: str
) -> None:
    assert outcome_of(stored, observed) == outcome


def _shown(state: UserState) -> object:
    """The visible state, without what only orders it."""
    return state.digest if isinstance(state, User) else type(state)


NEWER: list[tuple[UserChange, UserChange]] = [
    (user(ADA, updated=1, seen=9), user(ADA, updated=2, seen=2)),
    (user(ADA, updated=1, seen=1), user(ADA, updated=1, seen=2)),
    (user(ADA, updated=9), DeletedUser(clerk_id=ADA, deleted_at=at(1))),
    (DeletedUser(clerk_id=ADA, deleted_at=at(2)), DeletedUser(clerk_id=ADA, deleted_at=at(1))),
]


@pytest.mark.parametrize(
    ("lesser", "greater"),
    NEWER,
    ids=["updated later", "seen later", "deleted", "deleted earlier"],
)
def test_the_greater_is_the_one_nearer_to_what_clerk_says_now(
    lesser: UserChange, greater: UserChange
) -> None:
    """The laws alone would also hold for the opposite order."""
    assert join(lesser, greater) == join(greater, lesser) == greater


def test_the_digest_follows_the_contents_and_nothing_else() -> None:
    one = user(ADA, updated=1, seen=1, first_name="A", public_metadata={"a": 1, "b": 2})
    same = user(
        UserId("user_eve"),
        updated=2,
        seen=3,
        first_name="A",
        public_metadata={"b": 2, "a": 1},
        last_sign_in_at=at(1),
    )
    assert one.digest == same.digest
    assert (len(one.digest), one.digest[0]) == (17, DIGEST_FORMAT)


@pytest.mark.parametrize("name", CONTENT_FIELDS)
def test_the_digest_follows_every_content(name: str) -> None:
    other: dict[str, Any] = {
        "email_verified": True,
        "banned": True,
        "public_metadata": {"a": {"b": [1, None]}},
        "clerk_created_at": at(1),
        "email_addresses": (EmailAddress(address="a@x.io", verified=True, primary=False),),
        "two_factor_enabled": True,
        "locked": True,
        "legal_accepted_at": at(1),
    }
    assert user(ADA).digest != replace(user(ADA), **{name: other.get(name, "other")}).digest


def test_the_digest_is_of_the_moment_and_not_of_how_it_is_written() -> None:
    elsewhere = timezone(timedelta(hours=5, minutes=30))
    one, same = (user(ADA, clerk_created_at=at(1).astimezone(zone)) for zone in (UTC, elsewhere))
    assert one.digest == same.digest


def test_metadata_may_be_of_any_mapping() -> None:
    plain = user(ADA, public_metadata={"a": {"b": 1}})
    proxied = user(ADA, public_metadata=MappingProxyType({"a": MappingProxyType({"b": 1})}))
    assert plain.digest == proxied.digest


def test_what_has_no_plain_form_has_no_digest() -> None:
    with pytest.raises(TypeError, match="no plain form for object"):
        _ = user(ADA, public_metadata={"a": object()}).digest


def test_the_digest_of_the_same_contents_stays_the_same_for_ever() -> None:
    """Every row has a digest: if its rule changed, all users would look changed."""
    metadata = {"b": [1, None, 0.5, True], "a": {"é": '\u2028"\\'}}
    one = user(ADA, first_name="Ada\n", clerk_created_at=at(0.001), public_metadata=metadata)
    assert one.digest.hex() == "f11ff7f6278dab6a712921033f719b536f"


FORMATS = {
    0xF1: (
        "clerk_created_at email email_verified phone_number username first_name last_name image_url"
        " external_id public_metadata banned email_addresses two_factor_enabled locked"
        " legal_accepted_at"
    )
}
"""What each format of the digest covers. A release that covers other fields adds a line."""


def test_another_set_of_fields_is_another_format() -> None:
    """Otherwise the digests of two releases would be compared as if they covered the same."""
    assert " ".join(CONTENT_FIELDS) == FORMATS[DIGEST_FORMAT]
    assert max(FORMATS) == DIGEST_FORMAT


def test_activity_settles_a_tie_and_is_not_an_update() -> None:
    early, late = (user(ADA, updated=1, last_sign_in_at=at(when)) for when in (1, 2))
    assert join(early, late) == join(late, early) == late
    assert outcome_of(early, late) is Outcome.UNCHANGED


def test_the_words_that_are_stored_stay_the_same_for_ever() -> None:
    assert list(Source) == ["webhook", "jit", "backfill", "replay", "reconcile"]
    assert list(Outcome) == ["created", "updated", "unchanged", "stale", "deleted", "gone"]


def test_missing_fields_have_empty_values() -> None:
    nobody = User(clerk_id=ADA, clerk_updated_at=at(1), observed_at=at(1))
    assert not nobody.email_verified
    assert not nobody.banned
    assert nobody.public_metadata == {}


@pytest.mark.parametrize("value", [user(ADA), DeletedUser(clerk_id=ADA, deleted_at=at(1))])
def test_what_was_observed_cannot_be_changed(value: UserChange) -> None:
    with pytest.raises(FrozenInstanceError):
        value.clerk_id = UserId("user_eve")  # type: ignore[misc]


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


@pytest.mark.parametrize(
    "unverified", ["user_3mOfoNu13tPBTVWNKnzbmPKu4L5", "user_1", "user_" + "a" * 120]
)
def test_a_clerk_id_is_a_user_id(unverified: str) -> None:
    assert parse_user_id(unverified) == unverified

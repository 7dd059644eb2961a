"""What every `UserRepository` must do. Runs on the one in memory and on a real Postgres."""

from itertools import permutations
from secrets import token_urlsafe

import pytest

from domain.drift import differing_fields
from domain.user import (
    KEPT_FIELDS,
    LEAST_VERSION,
    EmailAddress,
    Outcome,
    Source,
    User,
)
from tests.adapters.clerk.payloads import translated
from tests.contract.conftest import Store
from tests.contract.records import live, outcomes
from tests.people import at, deleted, new_id, observed, user


async def test_an_unknown_user_is_none(store: Store) -> None:
    assert await store.users.get(new_id()) is None


async def test_a_synced_user_is_read_back_as_it_was_observed(store: Store) -> None:
    user_id = new_id()
    ada = user(
        user_id,
        email_verified=True,
        phone_number="+44 20 7946 0000",
        username="ada",
        first_name="Ada <b>&amp;\u202e",
        last_name="Lovelace",
        image_url="https://img.clerk.com/x",
        external_id="42",
        public_metadata={"plan": "pro", "tags": ["α", 1, None], "deep": {"a": {"b": 1.5}}},
        banned=True,
    )
    await store.users.sync(observed(ada, Source.BACKFILL))
    record = await live(store, user_id)
    assert User(**{name: getattr(record, name) for name in vars(ada) if name != "digest"}) == ada
    assert record.digest == ada.digest
    assert record.synced_by is Source.BACKFILL


async def test_our_own_id_stays_through_every_change(store: Store) -> None:
    user_id = new_id()
    await outcomes(store, user(user_id, updated=1))
    first = await live(store, user_id)
    await outcomes(store, user(user_id, updated=2))
    second = await live(store, user_id)
    assert (first.id, first.created_at) == (second.id, second.created_at)
    assert second.last_synced_at >= first.last_synced_at


async def test_newer_supersedes_older(store: Store) -> None:
    user_id = new_id()
    said = await outcomes(store, user(user_id, updated=1), user(user_id, updated=2, email="b@x.io"))
    assert said == ["created", "updated"]
    assert (await live(store, user_id)).email == "b@x.io"


async def test_a_newer_version_with_the_same_contents_is_unchanged_and_keeps_the_activity(
    store: Store,
) -> None:
    """Clerk may raise `updated_at` at each sign-in, which must not be a change."""
    user_id = new_id()
    first = user(user_id, first_name="Ada", updated=1)
    signed_in = user(user_id, first_name="Ada", updated=2, last_sign_in_at=at(2))
    assert await outcomes(store, first, signed_in, first) == ["created", "unchanged", "stale"]
    record = await live(store, user_id)
    assert (record.clerk_updated_at, record.last_sign_in_at) == (at(2), at(2))


async def test_everything_that_is_kept_of_a_user_comes_back_as_it_was(store: Store) -> None:
    addresses = (
        EmailAddress(address="a@x.io", verified=True, primary=True),
        EmailAddress(address="ä@x.io", verified=False, primary=False),
    )
    whole = user(
        new_id(),
        email_verified=True,
        phone_number="+1",
        username="ada",
        last_name="Lovelace",
        image_url="https://x.io/a.png",
        external_id="1",
        public_metadata={"a": {"b": [1, None, "ü"]}},
        banned=True,
        email_addresses=addresses,
        two_factor_enabled=True,
        locked=True,
        legal_accepted_at=at(3),
        last_sign_in_at=at(4),
    )
    await outcomes(store, whole)
    record = await live(store, whole.clerk_id)
    assert {name: getattr(record, name) for name in KEPT_FIELDS} == {
        name: getattr(whole, name) for name in KEPT_FIELDS
    }


async def test_numbers_in_metadata_come_back_as_they_were_read(store: Store) -> None:
    whole = [1.0, 1e15, 1e16, -1e16, 2.0**60, 18446744073709549568.0, 2.0**64, -(2.0**63), -1e19]
    others = [1e20, 1e300, 0.0, -0.0, -0.05, 1e-7, 1.5e-300, 5e-324, 2**64 - 1, -(2**63), 10**16]
    ada = translated(id=new_id(), public_metadata={"numbers": [*whole, *others]})
    await store.users.sync(observed(ada))
    assert differing_fields(await live(store, ada.clerk_id), ada) == ()


async def test_older_is_stale_and_changes_nothing(store: Store) -> None:
    user_id = new_id()
    said = await outcomes(store, user(user_id, updated=2, email="b@x.io"), user(user_id, updated=1))
    assert said == ["created", "stale"]
    assert (await live(store, user_id)).email == "b@x.io"


async def test_the_same_version_again_is_unchanged(store: Store) -> None:
    ada = user(new_id())
    assert await outcomes(store, ada, ada) == ["created", "unchanged"]


async def test_unchanged_leaves_the_bookkeeping_alone(store: Store) -> None:
    user_id = new_id()
    await store.users.sync(observed(user(user_id, updated=1, seen=1), Source.WEBHOOK))
    before = await live(store, user_id)
    await store.users.sync(observed(user(user_id, updated=1, seen=9), Source.BACKFILL))
    after = await live(store, user_id)
    assert (after.synced_by, after.last_synced_at) == (before.synced_by, before.last_synced_at)


async def test_deletion_is_final(store: Store) -> None:
    user_id = new_id()
    said = await outcomes(
        store, user(user_id, updated=1), deleted(user_id, when=2), user(user_id, updated=3)
    )
    assert said == ["created", "deleted", "gone"]
    assert await store.users.get(user_id) == deleted(user_id, when=2)


async def test_deletion_before_creation_leaves_a_tombstone(store: Store) -> None:
    user_id = new_id()
    assert await outcomes(store, deleted(user_id), user(user_id)) == ["deleted", "gone"]


async def test_the_earlier_of_two_deletions_stands_whichever_comes_first(store: Store) -> None:
    one, other = new_id(), new_id()
    assert await outcomes(store, deleted(one, when=5), deleted(one, when=3)) == [
        "deleted",
        "unchanged",
    ]
    assert await outcomes(store, deleted(other, when=3), deleted(other, when=5)) == [
        "deleted",
        "unchanged",
    ]
    assert await store.users.get(one) == deleted(one, when=3)
    assert await store.users.get(other) == deleted(other, when=3)


async def test_a_tie_goes_to_the_later_observation(store: Store) -> None:
    user_id = new_id()
    early = user(user_id, updated=1, seen=1, email="early@x.io")
    late = user(user_id, updated=1, seen=2, email="late@x.io")
    assert await outcomes(store, late, early) == ["created", "stale"]
    assert (await live(store, user_id)).email == "late@x.io"


async def test_a_full_tie_is_decided_by_the_contents_the_same_way_in_both_orders(
    store: Store,
) -> None:
    ends = set()
    for turn in (1, -1):
        user_id = new_id()
        twins = [user(user_id, email="a@x.io"), user(user_id, email="b@x.io")]
        await outcomes(store, *twins[::turn])
        ends.add((await live(store, user_id)).email)
    assert len(ends) == 1


async def test_seeing_the_same_contents_later_still_settles_a_tie(store: Store) -> None:
    """If `observed_at` were not raised, the result would depend on the order of arrival."""
    ends = set()
    for order in permutations(range(3)):
        user_id = new_id()
        seen = [
            user(user_id, updated=1, seen=1, email="a@x.io"),
            user(user_id, updated=1, seen=2, email="b@x.io"),
            user(user_id, updated=1, seen=3, email="a@x.io"),
        ]
        await outcomes(store, *(seen[place] for place in order))
        ends.add((await live(store, user_id)).email)
    assert ends == {"a@x.io"}


async def test_an_external_id_may_be_longer_than_an_index_entry(store: Store) -> None:
    """Clerk sets no limit. 4,000 random characters do not compress below the 2,704 of a b-tree."""
    ada = user(new_id(), external_id=token_urlsafe(3000))
    assert await outcomes(store, ada) == ["created"]
    assert (await live(store, ada.clerk_id)).external_id == ada.external_id


@pytest.mark.parametrize("path", ["one", "many"])
async def test_a_withdrawn_version_lets_any_observation_in(store: Store, path: str) -> None:
    user_id = new_id()
    await store.users.sync(observed(user(user_id, updated=900, email="wrong@example.com")))
    right = observed(user(user_id, updated=2, email="right@example.com"))
    assert (await store.users.sync(right)).outcome is Outcome.STALE
    for _ in range(2):
        assert await store.users.withdraw_version(user_id, at(900))
    kept = await live(store, user_id)
    assert (kept.email, kept.clerk_updated_at) == ("wrong@example.com", LEAST_VERSION)
    if path == "one":
        assert (await store.users.sync(right)).outcome is Outcome.UPDATED
    else:
        await store.users.sync_many([right])
    kept = await live(store, user_id)
    assert (kept.email, kept.clerk_updated_at) == ("right@example.com", at(2))


async def test_only_the_named_version_of_a_live_row_is_withdrawn(store: Store) -> None:
    user_id, gone = new_id(), new_id()
    await store.users.sync(observed(user(user_id, updated=5)))
    await store.users.sync(observed(deleted(gone, when=5)))
    before = [await store.users.get(one) for one in (user_id, gone)]
    assert not await store.users.withdraw_version(user_id, at(4))
    assert not await store.users.withdraw_version(gone, at(5))
    assert not await store.users.withdraw_version(new_id(), at(5))
    assert [await store.users.get(one) for one in (user_id, gone)] == before


async def test_the_same_contents_after_a_withdrawal_are_no_update(store: Store) -> None:
    user_id = new_id()
    await store.users.sync(observed(user(user_id, updated=900, first_name="Ada")))
    await store.users.withdraw_version(user_id, at(900))
    again = observed(user(user_id, updated=2, first_name="Ada"))
    assert (await store.users.sync(again)).outcome is Outcome.UNCHANGED
    assert (await live(store, user_id)).clerk_updated_at == at(2)

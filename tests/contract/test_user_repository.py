"""What every `UserRepository` must do. Runs on the one in memory and on a real Postgres."""

import asyncio
import re
from itertools import permutations
from secrets import token_urlsafe

import pytest

from domain.journal import JournalQuery
from domain.sync_user import SVIX_ID, SyncUser, UnreadableDelivery, apart
from domain.user import (
    KEPT_FIELDS,
    LEAST_VERSION,
    DeletedUser,
    EmailAddress,
    LocalUser,
    Outcome,
    Source,
    User,
    UserChange,
    UserId,
)
from tests.contract.conftest import Store
from tests.people import at, deleted, delivered, new_id, observed, outcomes_of, user


async def outcomes(store: Store, *changes: UserChange) -> list[str]:
    return [(await store.users.sync(observed(change))).outcome.value for change in changes]


async def live(store: Store, user_id: UserId) -> LocalUser:
    record = await store.users.get(user_id)
    assert isinstance(record, LocalUser)
    return record


def history(user_id: UserId) -> list[SyncUser]:
    """The observations of one user, and a fetch of an early state that arrives at any time."""
    return [
        delivered(user(user_id, updated=1, email="created@example.com")),
        delivered(user(user_id, updated=2, email="first@example.com")),
        delivered(user(user_id, updated=3, email="second@example.com")),
        delivered(deleted(user_id, when=4)),
        observed(user(user_id, updated=2, seen=2.5, email="first@example.com")),
    ]


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


async def test_every_order_of_events_ends_the_same(store: Store) -> None:
    async def life(order: tuple[int, ...]) -> tuple[object, list[Outcome]]:
        user_id = new_id()
        commands = history(user_id)
        said = [(await store.users.sync(commands[place])).outcome for place in order]
        record = await store.users.get(user_id)
        assert isinstance(record, DeletedUser)
        return record.deleted_at, said

    ends = await asyncio.gather(*(life(order) for order in permutations(range(5))))
    assert {when for when, _ in ends} == {at(4)}
    for _, said in ends:
        # Once it is deleted, nothing is ever applied again.
        after = said[said.index(Outcome.DELETED) + 1 :]
        assert set(after) <= {Outcome.GONE}


async def test_every_order_without_a_deletion_ends_with_the_newest(store: Store) -> None:
    async def life(order: tuple[int, ...]) -> str | None:
        user_id = new_id()
        commands = [command for command in history(user_id) if isinstance(command.change, User)]
        for place in order:
            await store.users.sync(commands[place])
        return (await live(store, user_id)).email

    ends = await asyncio.gather(*(life(order) for order in permutations(range(4))))
    assert set(ends) == {"second@example.com"}


async def test_many_first_sights_at_once_leave_one_row_and_one_creation(store: Store) -> None:
    user_id = new_id()
    results = await asyncio.gather(
        *(store.users.sync(observed(user(user_id, updated=1))) for _ in range(40))
    )
    said = outcomes_of(results)
    assert said.count(Outcome.CREATED) == 1
    assert said.count(Outcome.UNCHANGED) == 39


async def test_a_page_answers_in_its_own_order(store: Store) -> None:
    known, fresh, gone = sorted(new_id() for _ in range(3))
    await outcomes(store, user(known, updated=5), deleted(gone))
    page: list[UserChange] = [
        user(gone),
        user(known, updated=6),
        user(fresh),
        user(known, updated=4),
    ]
    results = await store.users.sync_many([observed(change, Source.BACKFILL) for change in page])
    assert outcomes_of(results) == ["gone", "updated", "created", "stale"]


async def test_a_page_may_hold_one_user_many_times_and_a_deletion(store: Store) -> None:
    user_id = new_id()
    page: list[UserChange] = [
        user(user_id, updated=1),
        user(user_id, updated=2),
        deleted(user_id),
        user(user_id),
    ]
    results = await store.users.sync_many([observed(change) for change in page])
    assert outcomes_of(results) == ["created", "updated", "deleted", "gone"]


@pytest.mark.parametrize("again", [False, True], ids=["each once", "one of them again"])
async def test_a_long_page_answers_in_its_own_order(store: Store, *, again: bool) -> None:
    people = [new_id() for _ in range(250)]
    await outcomes(store, *(user(one) for one in people[::3]), *map(deleted, people[1::3]))
    page: list[UserChange] = [user(one, updated=1) for one in people]
    if again:
        page.append(user(people[2], updated=2))
    results = await store.users.sync_many([observed(change, Source.BACKFILL) for change in page])
    expected = ["updated", "gone", "created"] * 84
    assert outcomes_of(results) == [*expected[:250], *(["updated"] if again else [])]
    assert [(await live(store, one)).clerk_updated_at for one in people[::3]] == [at(1)] * 84


async def test_an_empty_page_is_nothing(store: Store) -> None:
    assert await store.users.sync_many([]) == []


async def test_a_redelivery_counts_up_and_is_applied_again(store: Store) -> None:
    command = delivered(user(new_id()))
    first = await store.users.sync(command)
    second = await store.users.sync(command)
    assert (first.outcome, first.deliveries) == (Outcome.CREATED, 1)
    assert (second.outcome, second.deliveries) == (Outcome.UNCHANGED, 2)


async def test_another_body_under_the_same_svix_id_is_noticed(store: Store) -> None:
    user_id = new_id()
    first = await store.users.sync(delivered(user(user_id), svix_id="msg_same", body=b'{"a":1}'))
    other = delivered(user(user_id, updated=2), svix_id="msg_same", body=b'{"a":2}')
    assert not first.conflicting
    assert (await store.users.sync(other)).conflicting


async def svix_ids(store: Store, user_id: UserId) -> list[tuple[str | None, str, int]]:
    return [
        (one.svix_id, one.outcome, one.deliveries) for one in await store.journal.history(user_id)
    ]


async def test_another_delivery_under_the_same_svix_id_has_its_own_entry(store: Store) -> None:
    ada, grace = new_id(), new_id()
    await store.users.sync(delivered(user(ada), svix_id="msg_same", body=b'{"a":1}'))
    other = delivered(user(grace), svix_id="msg_same", body=b'{"g":1}')
    for _ in range(2):
        await store.users.sync(other)
    assert await svix_ids(store, ada) == [("msg_same", "created", 3)]
    assert await svix_ids(store, grace) == [(apart("msg_same", b'{"g":1}'), "created", 2)]


async def test_a_deletion_under_a_used_svix_id_has_its_own_entry(store: Store) -> None:
    ada = new_id()
    await store.users.sync(delivered(user(ada), svix_id="msg_same", body=b'{"a":1}'))
    await store.users.sync(delivered(deleted(ada), svix_id="msg_same", body=b'{"d":1}'))
    assert isinstance(await store.users.get(ada), DeletedUser)
    assert [(one, outcome) for one, outcome, _ in await svix_ids(store, ada)] == [
        ("msg_same", "created"),
        (apart("msg_same", b'{"d":1}'), "deleted"),
    ]


async def test_a_deletion_under_the_svix_id_of_an_erased_body_has_its_own_entry(
    store: Store,
) -> None:
    ada, grace = new_id(), new_id()
    for event in (
        delivered(deleted(ada), svix_id="msg_same", body=b'{"d":1}'),
        delivered(deleted(grace), svix_id="msg_same", body=b'{"d":2}'),
    ):
        await store.users.sync(event)
    assert [one for one, *_ in await svix_ids(store, grace)] == [apart("msg_same", b'{"d":2}')]


@pytest.mark.parametrize("svix_id", ["msg_same", "m" * 128])
async def test_poison_under_a_used_svix_id_is_kept_with_its_bytes(
    store: Store, svix_id: str
) -> None:
    ada = new_id()
    await store.users.sync(delivered(user(ada), svix_id=svix_id, body=b'{"a":1}'))
    poisons = [
        UnreadableDelivery(svix_id=svix_id, body=body, reason="not_json") for body in (b"?", b"!")
    ]
    for poison in (*poisons, *poisons):
        await store.journal.quarantine(poison)
    assert await svix_ids(store, ada) == [(svix_id, "created", 1)]
    kept = [one async for one in store.journal.deliveries(JournalQuery(error="not_json"))]
    assert [(one.body, one.deliveries) for one in kept] == [(b"?", 2), (b"!", 2)]
    assert all(re.fullmatch(SVIX_ID, one.svix_id or "") for one in kept)


@pytest.mark.parametrize("reason", ["not_json", "updated_at_absurd"])
async def test_quarantine_holds_a_delivery_once_however_often_it_comes(
    store: Store, reason: str
) -> None:
    poison = UnreadableDelivery(svix_id=f"msg_{reason}", body=b"\xff\x00", reason=reason)
    await store.journal.quarantine(poison)
    await store.journal.quarantine(poison)
    assert await store.journal.quarantined() == 1


async def test_a_delivery_leaves_quarantine_when_it_is_applied(store: Store) -> None:
    user_id = new_id()
    await store.journal.quarantine(
        UnreadableDelivery(svix_id="msg_fixed", body=b"{}", reason="bug", clerk_id=user_id)
    )
    result = await store.users.sync(delivered(user(user_id), svix_id="msg_fixed"))
    assert (result.outcome, result.deliveries) == (Outcome.CREATED, 2)
    assert await store.journal.quarantined() == 0


async def test_a_change_names_its_source(store: Store) -> None:
    user_id = new_id()
    await store.users.sync(observed(user(user_id, updated=1), Source.JIT))
    await store.users.sync(observed(user(user_id, updated=2), Source.RECONCILE))
    assert (await live(store, user_id)).synced_by is Source.RECONCILE


async def test_of_what_comes_without_a_delivery_only_changes_are_journaled(store: Store) -> None:
    user_id = new_id()
    said = await outcomes(
        store,
        user(user_id, updated=1),
        user(user_id, updated=3),
        user(user_id, updated=3),
        user(user_id, updated=2),
        deleted(user_id),
        deleted(user_id),
        user(user_id, updated=4),
    )
    assert said == ["created", "updated", "unchanged", "stale", "deleted", "unchanged", "gone"]
    entries = await store.journal.history(user_id)
    assert [entry.outcome for entry in entries] == ["created", "updated", "deleted"]


async def test_what_comes_without_a_delivery_counts_none(store: Store) -> None:
    result = await store.users.sync(observed(user(new_id())))
    assert (result.deliveries, result.conflicting) == (0, False)


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

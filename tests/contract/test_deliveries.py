"""What every `UserRepository` must do with a delivery: redeliveries, svix ids used twice, quarantine."""

import re

import pytest

from domain.journal import JournalQuery
from domain.sync_user import SVIX_ID, UnreadableDelivery, second_svix_id
from domain.user import (
    DeletedUser,
    Outcome,
    Source,
    UserId,
)
from tests.contract.conftest import Store
from tests.contract.records import live, outcomes
from tests.people import deleted, delivered, new_id, observed, user


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
    assert await svix_ids(store, grace) == [(second_svix_id("msg_same", b'{"g":1}'), "created", 2)]


async def test_a_deletion_under_a_used_svix_id_has_its_own_entry(store: Store) -> None:
    ada = new_id()
    await store.users.sync(delivered(user(ada), svix_id="msg_same", body=b'{"a":1}'))
    await store.users.sync(delivered(deleted(ada), svix_id="msg_same", body=b'{"d":1}'))
    assert isinstance(await store.users.get(ada), DeletedUser)
    assert [(one, outcome) for one, outcome, _ in await svix_ids(store, ada)] == [
        ("msg_same", "created"),
        (second_svix_id("msg_same", b'{"d":1}'), "deleted"),
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
    assert [one for one, *_ in await svix_ids(store, grace)] == [
        second_svix_id("msg_same", b'{"d":2}')
    ]


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

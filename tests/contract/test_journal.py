"""What every `Journal` must return. Runs on the one in memory and on a real Postgres."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.journal import JournalQuery
from domain.sync_user import UnreadableDelivery
from domain.user import Source, UserId
from tests.contract.conftest import Store
from tests.people import deleted, delivered, new_id, observed, user

SOON = datetime.now(UTC) + timedelta(days=1)
LONG_AGO = SOON - timedelta(days=9)


async def arrivals(store: Store) -> UserId:
    """A user with four entries, three of them deliveries."""
    user_id = new_id()
    poison = UnreadableDelivery(svix_id="msg_q", body=b"?", reason="bug", clerk_id=user_id)
    await store.users.sync(observed(user(user_id, updated=1), Source.BACKFILL))
    await store.users.sync(delivered(user(user_id, updated=3), svix_id="msg_new", body=b"new"))
    await store.users.sync(delivered(user(user_id, updated=2), svix_id="msg_old", body=b"old"))
    await store.journal.quarantine(poison)
    await store.users.sync(delivered(user(new_id()), svix_id="msg_neighbour"))
    return user_id


CHOICES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["msg_new", "msg_old", "msg_q", "msg_neighbour"]),
    ({"outcomes": frozenset({"stale", "quarantined"})}, ["msg_old", "msg_q"]),
    ({"event_types": frozenset({"user.deleted"})}, []),
    ({"event_types": frozenset({"user.updated"})}, ["msg_new", "msg_old", "msg_neighbour"]),
    ({"svix_id": "msg_old"}, ["msg_old"]),
    ({"svix_id": ""}, []),
    ({"error": ""}, []),
    ({"since": LONG_AGO, "until": SOON, "limit": 2}, ["msg_new", "msg_old"]),
    ({"since": SOON}, []),
    ({"until": LONG_AGO}, []),
]


@pytest.mark.parametrize(("asked", "svix_ids"), CHOICES)
async def test_the_deliveries_asked_for_come_oldest_first(
    store: Store, asked: dict[str, Any], svix_ids: list[str]
) -> None:
    await arrivals(store)
    wanted = JournalQuery(**asked)
    assert [entry.svix_id async for entry in store.journal.deliveries(wanted)] == svix_ids
    assert await store.journal.count(wanted) == len(svix_ids)


async def test_one_users_deliveries_are_selected_without_others(store: Store) -> None:
    wanted = JournalQuery(user_id=await arrivals(store))
    found = {entry.svix_id: entry.body async for entry in store.journal.deliveries(wanted)}
    assert found == {"msg_new": b"new", "msg_old": b"old", "msg_q": b"?"}


async def test_a_history_has_everything_but_bodies(store: Store) -> None:
    told = await store.journal.history(await arrivals(store))
    assert [(entry.source, entry.outcome, entry.body) for entry in told] == [
        ("backfill", "created", None),
        ("webhook", "updated", None),
        ("webhook", "stale", None),
        ("webhook", "quarantined", None),
    ]


async def test_a_redelivery_counts_and_a_replay_does_not(store: Store) -> None:
    user_id = new_id()
    command = delivered(user(user_id), svix_id="msg_1")
    await store.users.sync(command)
    await store.users.sync(command)
    replay = type(command)(change=command.change, source=Source.REPLAY, delivery=command.delivery)
    await store.users.sync(replay)
    (entry,) = await store.journal.history(user_id)
    assert (entry.deliveries, entry.source) == (2, "webhook")


async def test_what_leaves_quarantine_belongs_to_its_user(store: Store) -> None:
    user_id = new_id()
    await store.journal.quarantine(UnreadableDelivery(svix_id="msg_q", body=b"?", reason="bug"))
    await store.users.sync(delivered(user(user_id), svix_id="msg_q", body=b"read"))
    (entry,) = await store.journal.history(user_id)
    assert (entry.outcome, entry.error) == ("created", None)
    await store.users.sync(delivered(deleted(user_id)))
    bodies = [entry.body async for entry in store.journal.deliveries(JournalQuery(user_id=user_id))]
    assert bodies == [None, None]


async def test_what_is_dismissed_is_in_quarantine_no_more(store: Store) -> None:
    await arrivals(store)
    another = UnreadableDelivery(svix_id="msg_r", body=b"?", reason="bug", clerk_id=None)
    await store.journal.quarantine(another)
    assert await store.journal.dismiss(JournalQuery(svix_id="msg_q")) == 1
    assert await store.journal.quarantined() == 1
    assert await ids(store, outcomes=frozenset({"quarantined"})) == ["msg_r"]
    assert await ids(store, outcomes=frozenset({"dismissed"})) == ["msg_q"]
    assert "msg_q" not in await ids(store)
    assert await store.journal.dismiss(JournalQuery(svix_id="msg_q")) == 0
    assert await store.journal.dismiss(JournalQuery(error="bug")) == 1
    assert await store.journal.quarantined() == 0


async def test_only_what_is_in_quarantine_is_dismissed(store: Store) -> None:
    await arrivals(store)
    assert await store.journal.dismiss(JournalQuery(svix_id="msg_new")) == 0
    assert await store.journal.dismiss(JournalQuery()) == 1
    assert await ids(store) == ["msg_new", "msg_old", "msg_neighbour"]


async def test_what_is_dismissed_stays_so_when_it_comes_again_and_can_still_be_applied(
    store: Store,
) -> None:
    user_id = new_id()
    poison = UnreadableDelivery(svix_id="msg_p", body=b"?", reason="bug", clerk_id=user_id)
    await store.journal.quarantine(poison)
    await store.journal.dismiss(JournalQuery(svix_id="msg_p"))
    await store.journal.quarantine(poison)
    assert await store.journal.quarantined() == 0
    await store.users.sync(delivered(user(user_id, updated=3), svix_id="msg_p"))
    history = await store.journal.history(user_id)
    assert [(entry.outcome, entry.deliveries) for entry in history] == [("created", 3)]


async def ids(store: Store, **query: Any) -> list[str | None]:
    return [entry.svix_id async for entry in store.journal.deliveries(JournalQuery(**query))]

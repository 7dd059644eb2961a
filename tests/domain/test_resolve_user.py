"""The user of a request: served or refused, and the calls to Clerk. Seconds are virtual."""

import asyncio
from collections.abc import Callable

import pytest

from domain.errors import (
    IdentityProviderUnavailable,
    SyncError,
    UserBanned,
    UserDeleted,
    UserUnknown,
)
from domain.resolve_user import JitLimits, ResolveUser, UnknownUsers
from domain.sync_user import SyncUser
from domain.user import DeletedUser, LocalUser, Source, UserChange, UserId
from tests.fakes.clerk import InMemoryClerk
from tests.fakes.store import InMemoryStore
from tests.people import deleted, new_id, observed, user
from tests.simulation.virtual_time import in_virtual_time

QUICK = JitLimits(deadline=0.2, unknown_for=0.05)


class Looks(InMemoryStore):
    """Counts lookups. The first one takes `first_takes` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.first_takes = 0.0

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        self.looks += 1
        takes = self.first_takes if self.looks == 1 else 0
        record = await super().get(user_id)
        await asyncio.sleep(takes)
        return record


class Scene:
    """A store, a Clerk, and the use case between them."""

    def __init__(self, clerk: InMemoryClerk, limits: JitLimits = QUICK) -> None:
        self.store = Looks()
        self.clerk = clerk
        self.reported: list[str] = []
        self.resolve = ResolveUser(
            self.store,
            clerk,
            limits,
            self.reported.append,
            clock=asyncio.get_running_loop().time,
        )

    async def knows(self, change: UserChange) -> None:
        await self.store.sync(observed(change, Source.WEBHOOK))


@in_virtual_time
async def test_a_known_user_is_served_and_clerk_is_not_asked() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id)))
    await scene.knows(user(user_id))
    assert (await scene.resolve(user_id)).synced_by is Source.WEBHOOK
    assert scene.clerk.fetches == []


@in_virtual_time
async def test_a_first_request_creates_the_user() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id, email="grace@example.com")))
    record = await scene.resolve(user_id)
    assert (record.email, record.synced_by) == ("grace@example.com", Source.JIT)
    assert scene.reported == ["created"]
    assert scene.store.looks == 1


@pytest.mark.parametrize(
    ("change", "refusal"),
    [(deleted, UserDeleted), (lambda user_id: user(user_id, banned=True), UserBanned)],
)
@in_virtual_time
async def test_a_user_we_refuse_is_refused_without_asking_clerk(
    change: Callable[[UserId], UserChange], refusal: type[SyncError]
) -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id)))
    await scene.knows(change(user_id))
    with pytest.raises(refusal):
        await scene.resolve(user_id)
    assert scene.clerk.fetches == []


@in_virtual_time
async def test_a_banned_user_never_seen_before_is_refused_and_kept() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id, banned=True)))
    with pytest.raises(UserBanned):
        await scene.resolve(user_id)
    assert user_id in scene.store.rows


@in_virtual_time
async def test_two_hundred_first_requests_make_one_call() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id), delay=0.02))
    records = await asyncio.gather(*(scene.resolve(user_id) for _ in range(200)))
    assert len({record.id for record in records}) == 1
    assert scene.clerk.fetches == [user_id]


@in_virtual_time
async def test_a_request_that_looked_before_another_synced_the_user_makes_no_second_call() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id), delay=0.02))
    scene.store.first_takes = 0.1
    looking = asyncio.create_task(scene.resolve(user_id))
    await asyncio.sleep(0.01)
    assert await scene.resolve(user_id) == await looking
    assert scene.clerk.fetches == [user_id]


@in_virtual_time
async def test_a_cancelled_caller_does_not_stop_the_others() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id), delay=0.05))
    impatient = asyncio.create_task(scene.resolve(user_id))
    patient = asyncio.create_task(scene.resolve(user_id))
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert (await patient).clerk_id == user_id
    assert scene.clerk.fetches == [user_id]


@in_virtual_time
async def test_a_user_clerk_does_not_know_is_unknown_and_remembered_for_a_while() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk())
    for _ in range(3):
        with pytest.raises(UserUnknown):
            await scene.resolve(user_id)
    assert scene.clerk.fetches == [user_id]
    assert scene.store.rows == {}
    await asyncio.sleep(QUICK.unknown_for)
    scene.clerk.users[user_id] = user(user_id)
    assert (await scene.resolve(user_id)).clerk_id == user_id


@in_virtual_time
async def test_a_webhook_that_lands_while_clerk_says_no_wins() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(delay=0.03))
    asking = asyncio.create_task(scene.resolve(user_id))
    await asyncio.sleep(0.01)
    await scene.knows(user(user_id))
    assert (await asking).synced_by is Source.WEBHOOK


@in_virtual_time
async def test_a_deletion_that_lands_while_clerk_still_shows_the_user_wins() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id), delay=0.03))
    asking = asyncio.create_task(scene.resolve(user_id))
    await asyncio.sleep(0.01)
    await scene.knows(deleted(user_id))
    with pytest.raises(UserDeleted):
        await asking
    assert scene.reported == ["gone"]


@in_virtual_time
async def test_an_outage_is_unavailable_says_when_to_return_and_writes_nothing() -> None:
    scene = Scene(InMemoryClerk())
    scene.clerk.down = True
    with pytest.raises(IdentityProviderUnavailable) as caught:
        await scene.resolve(new_id())
    assert caught.value.retry_after == 7
    assert scene.store.rows == {}


@in_virtual_time
async def test_a_slow_clerk_is_unavailable_at_the_deadline() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id), delay=5))
    began = asyncio.get_running_loop().time()
    with pytest.raises(IdentityProviderUnavailable):
        await scene.resolve(user_id)
    assert asyncio.get_running_loop().time() - began == pytest.approx(QUICK.deadline)
    assert scene.reported == ["deadline"]


@in_virtual_time
async def test_no_more_users_are_fetched_at_once_than_allowed() -> None:
    people = [new_id() for _ in range(12)]
    scene = Scene(
        InMemoryClerk(*map(user, people), delay=0.2), JitLimits(deadline=5, max_fetches=3)
    )
    waiting = [asyncio.create_task(scene.resolve(user_id)) for user_id in people]
    await asyncio.sleep(0.1)
    assert len(scene.clerk.fetches) == 3
    await asyncio.gather(*waiting)
    assert len(scene.clerk.fetches) == 12


@in_virtual_time
async def test_draining_waits_for_the_fetch_and_keeps_its_result() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id), delay=0.05))
    asking = asyncio.create_task(scene.resolve(user_id))
    await asyncio.sleep(0.01)
    asking.cancel()
    await scene.resolve.drain()
    assert user_id in scene.store.rows


@in_virtual_time
async def test_the_join_of_a_jit_sync_is_the_same_as_any_other() -> None:
    user_id = new_id()
    scene = Scene(InMemoryClerk(user(user_id, updated=1, email="old@example.com"), delay=0.03))
    asking = asyncio.create_task(scene.resolve(user_id))
    await asyncio.sleep(0.01)
    await scene.store.sync(
        SyncUser(change=user(user_id, updated=2, email="new@example.com"), source=Source.WEBHOOK)
    )
    assert (await asking).email == "new@example.com"
    assert scene.reported == ["stale"]


def test_the_memory_of_unknown_users_is_bounded() -> None:
    unknown = UnknownUsers(seconds=60, size=100)
    people = [new_id() for _ in range(1000)]
    for user_id in people:
        unknown.remember(user_id)
    assert sum(user_id in unknown for user_id in people) == 100
    assert people[-1] in unknown

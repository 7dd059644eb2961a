"""Subscriptions that a store holds, and the changes that are set aside."""

from collections.abc import Sequence

from domain.change_log import Progress
from domain.subscriptions import AsideState, SetAside, Subscription, SubscriptionStanding
from domain.user import UserId
from tests.contract.conftest import Store
from tests.people import observed, user

MAIL = Subscription(name="mail")
FROM_THE_OLDEST = Subscription(name="mail", begin="oldest")
US, THEM = "us", "them"
LONG = 60.0


async def arrive(store: Store, *people: UserId, version: int = 1) -> None:
    for one in people:
        await store.users.sync(observed(user(one, updated=version)))


async def held(store: Store, subscription: Subscription = FROM_THE_OLDEST) -> int:
    await store.subscriptions.declare(subscription)
    position = await store.subscriptions.take(subscription.name, US, LONG)
    assert position is not None
    return position


async def save(
    store: Store,
    position: int,
    *,
    holder: str = US,
    read: int | None = None,
    aside: Sequence[SetAside] = (),
    resolved: Sequence[SetAside] = (),
    given_up: Sequence[SetAside] = (),
) -> bool:
    progress = Progress(
        position=position,
        read=position if read is None else read,
        aside=aside,
        resolved=resolved,
        given_up=given_up,
    )
    return await store.subscriptions.save("mail", holder, progress, LONG)


def aside(
    position: int,
    user_id: UserId,
    state: AsideState = AsideState.WAITING,
    *,
    attempts: int = 1,
    pause: float = 0.0,
) -> SetAside:
    return SetAside(
        position=position,
        clerk_id=user_id,
        state=state,
        attempts=attempts,
        error="ValueError",
        pause=pause,
    )


async def standing(store: Store) -> SubscriptionStanding:
    [one] = await store.desk.standings()
    return one


async def due(store: Store, *in_hand: UserId) -> list[int]:
    found = await store.subscriptions.due("mail", in_hand, 100)
    return [one.position for one, _ in found.changes]


async def kept(store: Store) -> list[tuple[int, str, int]]:
    found = await store.desk.set_aside("mail", 100)
    return [(one.position, one.state.value, one.attempts) for one in found]


async def lose(store: Store, newest: int) -> None:
    """The store forgets the newest changes, as a failover to a late standby does."""
    await store.forget(newest)

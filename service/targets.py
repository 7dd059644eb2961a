"""Where changes go besides the application's own handlers: endpoints, a broker, Clerk."""

from collections.abc import Awaitable, Callable

from domain.changes import Kind
from domain.ports import IdentityWriter
from domain.subscriptions import Delivery, Subscription, Target, Wants
from domain.user import LocalUser, Source
from service.change_message import message

SVIX_PAUSES = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds between the tries of a push. Source: Svix, "Retry Schedule"."""

BROKER = Subscription(name="broker")
"""Everything but a backfill, from the first time that a broker is named."""

WRITE_BACK = Subscription(
    name="clerk-write-back",
    wants=Wants(kinds=frozenset({Kind.CREATED}), sources=frozenset(Source)),
    begin="oldest",
    at_once=4,
    deadline=330.0,  # a call waits for its turn under Clerk's limit
)


def pushed(post: Callable[[str, bytes, str | None], Awaitable[None]]) -> Target:
    """`post` is given the message's id, its body and its place in a trace."""

    async def push(delivery: Delivery) -> None:
        await post(delivery.key, message(delivery), delivery.change.traceparent)

    return push


def published(publish: Callable[[str, str, bytes, str | None], Awaitable[None]]) -> Target:
    """`publish` is given the message's id, the user's key, the body and its place in a trace."""

    async def to_broker(delivery: Delivery) -> None:
        change = delivery.change
        await publish(delivery.key, change.clerk_id, message(delivery), change.traceparent)

    return to_broker


def written_back(
    clerk: IdentityWriter, key: str | None, require_same_instance: Callable[[], Awaitable[object]]
) -> Target:
    """Writes our id into `external_id`, or under `key` of the public metadata.

    The webhook that follows records one change, `updated`, which this subscription does not take.
    An `external_id` that is set already is left alone.
    """

    async def write(delivery: Delivery) -> None:
        user = delivery.user
        if user is None or not _wants_our_id(user, key):
            return
        if not await clerk.write_our_id(user.clerk_id, str(user.id), key):
            # Another instance has none of our users: that is a failure, and no user is gone.
            await require_same_instance()

    return write


def _wants_our_id(user: LocalUser, key: str | None) -> bool:
    if key is None:
        return user.external_id is None
    return user.public_metadata.get(key) != str(user.id)

"""Handlers of changes, as an application writes them.

changes = Changes()

@changes.on("created", name="welcome-mail")
async def welcome(change: Change, user: LocalUser | None) -> None: ...
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Literal, TypeAlias, TypeVar

from domain.changes import Change, Kind
from domain.subscriptions import (
    PAUSES,
    Delivery,
    Subscription,
    Target,
    Wants,
)
from domain.user import LocalUser, Source

Handler: TypeAlias = Callable[[Change, LocalUser | None], Awaitable[None]]
SomeHandler = TypeVar("SomeHandler", bound=Handler)

KindName: TypeAlias = Literal["created", "updated", "deleted"]
SourceName: TypeAlias = Literal["webhook", "jit", "backfill", "replay", "reconcile"]


class Changes:
    """What is to be done when a user is created, updated or deleted.

    A handler gets the change, and the user's record as it is then: None if the user has been
    deleted since. It is called at least once for each change, in order for each user, and again
    after a pause if it raises. Two calls with the same `change.position` are about one change.
    """

    def __init__(self) -> None:
        self._targets: dict[str, tuple[Subscription, Target]] = {}

    def on(
        self,
        *kinds: KindName,
        name: str,
        sources: Collection[SourceName] = ("webhook", "jit", "replay", "reconcile"),
        fields: Collection[str] = (),
        begin: Literal["now", "oldest"] = "now",
        at_once: int = 16,
        deadline: float = 30.0,
        pauses: Sequence[float] = PAUSES,
    ) -> Callable[[SomeHandler], SomeHandler]:
        """Call the decorated function for changes of these kinds; without kinds, for all.

        - `name`: the subscription's name in the store. Under another name it begins from `begin`.
        - `sources`: the ways by which we learned of a change. By default all but a backfill.
        - `fields`: restricts `updated` to changes of any of these fields of `LocalUser`.
        - `begin`: with the changes from now on, or with the oldest that is kept.
        - `at_once`: how many users are handled at the same time.
        - `deadline`: seconds after which a call is ended, and counts as failed.
        - `pauses`: seconds between the tries. After the last try the change is parked for an
          operator, and the user's later changes wait for it.

        Raises `ValueError` for a name that is taken or of another form, and for an unknown kind,
        source or field; `TypeError` for a function that is not `async`.
        """
        subscription = Subscription(
            name=name,
            wants=Wants(
                kinds=frozenset(map(Kind, kinds or Kind)),
                sources=frozenset(map(Source, sources)),
                fields=frozenset(fields),
            ),
            begin=begin,
            at_once=at_once,
            deadline=deadline,
            pauses=tuple(pauses),
        )
        if name in self._targets:
            raise ValueError(f"two handlers are named {name!r}")

        def register(handler: SomeHandler) -> SomeHandler:
            if not _is_async(handler):
                raise TypeError(f"the handler of {name!r} must be an async function")
            self._targets[name] = (subscription, _target(handler))
            return handler

        return register

    @property
    def targets(self) -> Sequence[tuple[Subscription, Target]]:
        """The subscriptions, and where their changes go."""
        return tuple(self._targets.values())


def _is_async(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler)


def _target(handler: Handler) -> Target:
    async def call(delivery: Delivery) -> None:
        await handler(delivery.change, delivery.user)

    return call

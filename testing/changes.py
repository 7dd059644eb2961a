"""Waits until an application has handled the changes of its users."""

import asyncio
from functools import partial

from anyio import to_thread
from anyio.from_thread import BlockingPortal

from service.changes import Changes
from service.services import Operations, Store

_LOOK = 0.02


class NotHandled(AssertionError):
    """A handler has not begun, has failed, or is not done in time."""


class ChangesHandled:
    """For a client that is not asynchronous."""

    def __init__(self, operations: Operations, portal: BlockingPortal) -> None:
        self._store = operations.store
        self._portal = portal

    def __call__(self, changes: Changes, seconds: float = 10.0) -> None:
        """Wait until every handler of `changes` has begun and has had all changes so far.

        A handler begins with the changes that come after it, so wait once before the first change.
        Raises `NotHandled` at once when a handler fails, or after `seconds`.
        """
        names = {subscription.name for subscription, _ in changes.targets}
        self._portal.call(_wait, self._store, names, seconds)


class AsyncChangesHandled(ChangesHandled):
    """For an asynchronous client, whose event loop runs the handlers meanwhile."""

    async def __call__(  # type: ignore[override]
        self, changes: Changes, seconds: float = 10.0
    ) -> None:
        """As `ChangesHandled.__call__`."""
        await to_thread.run_sync(partial(super().__call__, changes, seconds))


async def _wait(store: Store, names: set[str], seconds: float) -> None:
    left = sorted(names)
    try:
        async with asyncio.timeout(seconds):
            await store.changes.number()
            while left := await _unfinished(store, names):  # noqa: ASYNC110 - a store tells nobody
                await asyncio.sleep(_LOOK)
    except TimeoutError:
        raise NotHandled(f"after {seconds} s, not done: {', '.join(left)}") from None


async def _unfinished(store: Store, names: set[str]) -> list[str]:
    """The names that have not begun, or have changes before them. Raises `NotHandled`."""
    done = set()
    for standing in await store.desk.standings():
        if standing.name not in names:
            continue
        for aside in await store.desk.set_aside(standing.name, 100):
            if aside.error is not None:
                raise NotHandled(f"{standing.name} failed: {aside.error}")
        if standing.holder is not None and not standing.behind and not standing.waiting:
            done.add(standing.name)
    return sorted(names - done)

"""Locks in memory, for runs that share one event loop. It passes the same contract as Postgres."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from domain.errors import AlreadyRunning
from domain.ports import Exclusive


class InMemoryExclusive(Exclusive):
    """One run at a time for each name."""

    def __init__(self) -> None:
        self._holders: dict[str, str] = {}

    def hold(self, name: str, holder: str) -> AbstractAsyncContextManager[None]:
        return self._hold(name, holder)

    @asynccontextmanager
    async def _hold(self, name: str, holder: str) -> AsyncIterator[None]:
        if name in self._holders:
            raise AlreadyRunning(self._holders[name])
        self._holders[name] = holder
        try:
            yield
        finally:
            del self._holders[name]

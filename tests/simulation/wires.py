"""The simulated network: messages take time, and can be lost before or after their effect."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import httpx
import orjson

from domain.errors import StorageUnavailable
from domain.journal import JournalEntry, JournalQuery
from domain.sync_user import SyncResult, SyncUser, UnreadableDelivery
from domain.user import DeletedUser, LocalUser, UserId
from tests.simulation.fortune import Fortune
from tests.simulation.laws import Laws
from tests.simulation.stores import Store

Answer = TypeVar("Answer")


class ClerkWire(httpx.AsyncBaseTransport):
    """From one process to Clerk. `on_call` receives the path of every call."""

    def __init__(
        self,
        clerk: httpx.AsyncBaseTransport,
        fortune: Fortune,
        on_call: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._clerk = clerk
        self._fortune = fortune
        self._on_call = on_call

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self._on_call(path)
        await self._pass(request)
        response = await self._clerk.handle_async_request(request)
        self._fortune.note("clerk answers", path, response.status_code)
        await self._pass(request)
        return response

    async def _pass(self, request: httpx.Request) -> None:
        await self._fortune.latency()
        # Outages of the signing keys have tests of their own; here every session can be verified.
        if self._fortune.is_cut_off("clerk") and not request.url.path.endswith("jwks.json"):
            raise httpx.ConnectError("out of reach", request=request)


class Answering(Protocol):
    """A replica."""

    async def answer(self, request: httpx.Request) -> httpx.Response: ...


class SvixWire(httpx.AsyncBaseTransport):
    """From Svix to a random replica. The answer is lost with probability `lost`.

    `laws`, if given, check the answers.
    """

    def __init__(self, fortune: Fortune, laws: Laws | None = None, lost: float = 0.0) -> None:
        self.replicas: Sequence[Answering] = ()
        self._fortune = fortune
        self._laws = laws
        self._lost = lost

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        svix_id = request.headers["svix-id"]
        await self._fortune.latency()
        response = await self._fortune.chance.choice(self.replicas).answer(request)
        self._fortune.note("webhook", svix_id, response.status_code)
        if self._laws:
            self._laws.webhook_is_answered(response.status_code)
        await self._fortune.latency()
        if self._fortune.befalls(self._lost):
            self._fortune.note("answer lost", svix_id)
            raise httpx.ReadError("lost", request=request)
        if self._laws and response.is_success:
            self._laws.acknowledged(svix_id, _deleted(request.content))
        return response


class StoreWire:
    """From one process to the store. A call that fails on its way back may have been committed."""

    def __init__(
        self, store: Store, fortune: Fortune, on_write: Callable[[], None] = lambda: None
    ) -> None:
        self._store = store
        self._fortune = fortune
        self._on_write = on_write

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        return await self._read(lambda: self._store.get(user_id))

    async def sync(self, command: SyncUser) -> SyncResult:
        result = await self._write(lambda: self._store.sync(command))
        self._note(command, result)
        return result

    async def sync_and_get(
        self, command: SyncUser
    ) -> tuple[SyncResult, LocalUser | DeletedUser | None]:
        result, record = await self._write(lambda: self._store.sync_and_get(command))
        self._note(command, result)
        return result, record

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        results = await self._write(lambda: self._store.sync_many(commands))
        for command, result in zip(commands, results, strict=True):
            self._note(command, result)
        return results

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        return await self._write(lambda: self._store.withdraw_version(user_id, version))

    def _note(self, command: SyncUser, result: SyncResult | None) -> None:
        outcome = result.outcome if result else "refused"
        self._fortune.note(outcome, command.change.clerk_id, command.source)

    async def get_many(
        self, user_ids: Sequence[UserId]
    ) -> Mapping[UserId, LocalUser | DeletedUser]:
        return await self._read(lambda: self._store.get_many(user_ids))

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        return await self._read(lambda: self._store.live_ids(after=after, limit=limit))

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        await self._write(lambda: self._store.quarantine(delivery))

    async def quarantined(self) -> int:
        return await self._read(self._store.quarantined)

    async def dismiss(self, query: JournalQuery) -> int:
        return await self._write(lambda: self._store.dismiss(query))

    async def count(self, query: JournalQuery) -> int:
        return await self._read(lambda: self._store.count(query))

    async def deliveries(self, query: JournalQuery) -> AsyncIterator[JournalEntry]:
        async for entry in self._store.deliveries(query):
            await self._pass()
            yield entry

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        return await self._read(lambda: self._store.history(user_id))

    async def load(self, name: str) -> str | None:
        return await self._read(lambda: self._store.load(name))

    async def save(self, name: str, cursor: str) -> None:
        await self._write(lambda: self._store.save(name, cursor))

    async def save_first(self, name: str, cursor: str) -> str:
        return await self._write(lambda: self._store.save_first(name, cursor))

    async def clear(self, name: str) -> None:
        await self._write(lambda: self._store.clear(name))

    async def age(self, name: str) -> timedelta | None:
        return await self._read(lambda: self._store.age(name))

    async def forget_bodies(self) -> None:
        await self._write(self._store.forget_bodies)

    async def _read(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        await self._pass()
        answer = await work()
        await self._pass()
        return answer

    async def _write(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        await self._pass()
        answer = await work()
        self._on_write()
        await self._pass()
        return answer

    async def _pass(self) -> None:
        await self._fortune.latency()
        if self._fortune.is_cut_off("store"):
            raise StorageUnavailable("out of reach")


def _deleted(body: bytes) -> str | None:
    event = orjson.loads(body)
    return event["data"]["id"] if event["type"] == "user.deleted" else None

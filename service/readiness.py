"""Whether this replica should get traffic."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from domain.errors import StorageUnavailable


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at. `degraded` names what is down but does not stop us from serving."""

    checks: dict[str, bool]
    degraded: list[str]

    @property
    def ready(self) -> bool:
        return all(self.checks.values())

    def as_document(self) -> dict[str, Any]:
        status = "ready" if self.ready else "not_ready"
        return {"status": status, "checks": self.checks, "degraded": self.degraded}


class Readiness:
    """Store reachable, schema at head, keys loaded, not draining."""

    def __init__(
        self,
        *,
        schema_at_head: Callable[[], Awaitable[bool]],
        keys_loaded: Callable[[], bool],
        clerk_answers: Callable[[], bool],
        webhooks_arrive: Callable[[], Awaitable[bool]],
    ) -> None:
        self._schema_at_head = schema_at_head
        self._keys_loaded = keys_loaded
        self._clerk_answers = clerk_answers
        self._webhooks_arrive = webhooks_arrive
        self._draining = False

    def drain(self) -> None:
        """From now on, not ready: the balancer may look elsewhere."""
        self._draining = True

    async def report(self) -> Report:
        store, schema = await self._look_at_the_store()
        checks = {
            "store": store,
            "schema": schema,
            "signing_keys": self._keys_loaded(),
            "not_draining": not self._draining,
        }
        return Report(checks, await self._degraded(look_at_webhooks=store and schema))

    async def _degraded(self, *, look_at_webhooks: bool) -> list[str]:
        degraded = [] if self._clerk_answers() else ["clerk"]
        if look_at_webhooks and not await self._hears_from_clerk():
            degraded.append("webhooks")
        return degraded

    async def _hears_from_clerk(self) -> bool:
        """True too while nobody can tell."""
        try:
            async with asyncio.timeout(1):
                return await self._webhooks_arrive()
        except (StorageUnavailable, TimeoutError):
            return True

    async def _look_at_the_store(self) -> tuple[bool, bool]:
        try:
            async with asyncio.timeout(1):
                return True, await self._schema_at_head()
        except (StorageUnavailable, TimeoutError):
            return False, False

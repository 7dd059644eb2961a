"""Whether this replica should get traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain import health
from domain.errors import StorageUnavailable
from domain.health import Finding

PATIENCE = 1.0
"""Seconds for the store's answer."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at."""

    findings: Sequence[Finding]

    @property
    def ready(self) -> bool:
        return not any(finding.unready for finding in self.findings)

    @property
    def store_is_usable(self) -> bool:
        return all(one.is_ok for one in self.findings if one.about in {"store", "schema"})

    def as_document(self) -> dict[str, Any]:
        """`degraded` names what is down but does not keep the service from serving."""
        required = ("store", "schema", "signing_keys", "not_draining")
        states = {finding.about: finding.is_ok for finding in self.findings}
        return {
            "status": "ready" if self.ready else "not_ready",
            "checks": {name: states.get(name, False) for name in required},
            "degraded": [name for name, ok in states.items() if not ok and name not in required],
        }


class Readiness:
    """Store reachable, schema at head, keys loaded, not draining."""

    def __init__(
        self,
        *,
        schema_at_head: Callable[[], Awaitable[bool]],
        keys_loaded: Callable[[], bool],
        clerk_answers: Callable[[], bool],
        silent_users: Callable[[], Awaitable[int]],
        failing_jobs: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._schema_at_head = schema_at_head
        self._keys_loaded = keys_loaded
        self._clerk_answers = clerk_answers
        self._silent_users = silent_users
        self._failing_jobs = failing_jobs
        self._draining = False

    def drain(self) -> None:
        """From now on, not ready: the balancer sends requests elsewhere."""
        self._draining = True

    async def report(self) -> Report:
        return Report(
            [
                *await self._look_at_the_store(),
                health.signing_keys(loaded=self._keys_loaded()),
                health.draining(is_draining=self._draining),
                health.clerk(None if self._clerk_answers() else ""),
                health.jobs(self._failing_jobs()),
            ]
        )

    async def _look_at_the_store(self) -> list[Finding]:
        try:
            async with asyncio.timeout(PATIENCE):
                at_head = await self._schema_at_head()
        except (StorageUnavailable, TimeoutError) as error:
            return [health.store(str(error) or "no answer in time")]
        found = [health.store(None), health.schema(at_head=at_head)]
        return [*found, *await self._look_at_webhooks()] if at_head else found

    async def _look_at_webhooks(self) -> list[Finding]:
        """Nothing while the store does not tell."""
        try:
            async with asyncio.timeout(PATIENCE):
                return [health.webhooks(await self._silent_users())]
        except (StorageUnavailable, TimeoutError):
            return []

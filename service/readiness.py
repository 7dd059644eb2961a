"""Whether this replica should receive traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from domain import health
from domain.errors import StorageUnavailable
from domain.finding import Finding
from domain.polling import Comparing, Polling
from domain.schema import SchemaState
from service.shared_look import SharedLook

TIMEOUT = 1.0
"""Seconds for the store's answer."""


_WITH_KEYS = ("store", "schema", "signing_keys", "not_draining")
_WITHOUT_KEYS = ("store", "schema", "not_draining")


@dataclass(frozen=True, slots=True)
class Report:
    """The findings about this replica, and whether they allow traffic."""

    findings: Sequence[Finding]
    required: Sequence[str]
    """The checks of the process. One without a finding has failed."""

    @property
    def ready(self) -> bool:
        return not any(finding.unready for finding in self.findings)

    @property
    def store_is_usable(self) -> bool:
        return not any(one.unready for one in self.findings if one.about in {"store", "schema"})

    def as_document(self) -> dict[str, Any]:
        """The body of `/readyz`. `degraded` lists faults that do not make the service unready.

        `see` lists the page of the documentation for each fault.
        """
        fit = {finding.about: not finding.unready for finding in self.findings}
        others = {about: False for about, is_fit in fit.items() if not is_fit}
        return {
            "status": "ready" if self.ready else "not_ready",
            "checks": {**{name: fit.get(name, False) for name in self.required}, **others},
            "degraded": [finding.degrades for finding in self.findings if finding.degrades],
            "see": [finding.see for finding in self.findings if finding.see],
        }


class Readiness:
    """Ready means: store reachable, schema usable, signing keys loaded, not draining.

    A process that proves no session token has no keys: `keys_loaded` is None.
    """

    def __init__(
        self,
        *,
        schema: Callable[[], Awaitable[SchemaState]],
        keys_loaded: Callable[[], bool] | None,
        clerk_answers: Callable[[], bool],
        silent_users: Callable[[], Awaitable[int]],
        failing_jobs: Callable[[], frozenset[str]] = frozenset,
        polling: Polling | None = None,
        comparing: Comparing | None = None,
        contradiction: Callable[[], str | None] = lambda: None,
        went_back: Callable[[], Awaitable[str | None]],
    ) -> None:
        self._schema = schema
        self._keys_loaded = keys_loaded
        self._clerk_answers = clerk_answers
        self._silent_users = silent_users
        self._failing_jobs = failing_jobs
        self._polling = polling
        self._comparing = comparing
        self._contradiction = contradiction
        self._went_back = went_back
        self._store = SharedLook(self._look_at_store)
        self._draining = False

    @property
    def is_draining(self) -> bool:
        """Whether the process is stopping."""
        return self._draining

    def drain(self) -> None:
        """Be unready from now on, so that the balancer sends requests to other replicas."""
        self._draining = True

    def look_again(self) -> None:
        """Let the next report look at the store again, however recent the last look is."""
        self._store.forget()

    async def report(self) -> Report:
        """Check everything now."""
        found = [
            *await self._store(),
            *self._keys(),
            health.draining(is_draining=self._draining),
            health.clerk(None if self._clerk_answers() else ""),
            health.jobs(self._failing_jobs()),
            health.rows_instance(self._contradiction()),
        ]
        return Report(found, _WITHOUT_KEYS if self._keys_loaded is None else _WITH_KEYS)

    def _keys(self) -> list[Finding]:
        return (
            [] if self._keys_loaded is None else [health.signing_keys(loaded=self._keys_loaded())]
        )

    async def _look_at_store(self) -> list[Finding]:
        try:
            async with asyncio.timeout(TIMEOUT):
                schema = await self._schema()
        except (StorageUnavailable, TimeoutError) as error:
            return [health.store(str(error) or "no answer in time")]
        store = health.store(None, is_read_only=schema.is_read_only)
        found = [store, health.schema(schema)]
        if not schema.is_usable:
            return found
        return [*found, health.rights(schema), *await self._rows()]

    async def _rows(self) -> list[Finding]:
        """Empty if the store does not answer."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return [
                    health.history(await self._went_back()),
                    *await self._webhooks(),
                    *([await self._comparing.look()] if self._comparing else []),
                ]
        except (StorageUnavailable, TimeoutError):
            return []

    async def _webhooks(self) -> list[Finding]:
        if self._polling:
            return [health.webhooks(0, expected=False), await self._polling.look()]
        return [health.webhooks(await self._silent_users())]

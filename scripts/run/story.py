"""The main job, played on a running service: what happens at Clerk, and what comes of it.

Nothing here is made up: a webhook's row of the table is the service's own log line about it, a
request's row is the answer it got.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import token_hex

import httpx

from scripts.run.children import Child
from scripts.run.clerk import Clerk


@dataclass(frozen=True)
class Step:
    """One arrival. `right` says whether it did what it should."""

    happening: str
    arrival: str
    status: int
    effect: str
    milliseconds: float
    right: bool


@dataclass(frozen=True)
class Someone:
    """A person at Clerk, who is signed in."""

    user_id: str
    session_id: str


class Story:
    """`people` is filled while it is told."""

    def __init__(self, clerk: Clerk, service: httpx.AsyncClient, log: Child) -> None:
        self._clerk = clerk
        self._service = service
        self._log = log
        self.people: dict[str, Someone] = {}

    async def told(self) -> AsyncIterator[Step]:
        """Every step, as it happens."""
        for chapter in (self._sign_up, self._early_request, self._disorder, self._deletion):
            async for step in chapter():
                yield step

    async def _sign_up(self) -> AsyncIterator[Step]:
        ada = await self._someone("Ada")
        svix_id = await self._clerk.last_message(ada.user_id)
        yield await self._webhook("Ada signs up", "user.created", svix_id, "created")
        yield await self._request("Ada's first request", ada, "webhook, no call to Clerk")

    async def _early_request(self) -> AsyncIterator[Step]:
        await self._clerk.plan(hold=True)
        grace = await self._someone("Grace")
        svix_id = await self._clerk.last_message(grace.user_id)
        yield await self._request("Grace is faster than her webhook", grace, "jit, 1 call to Clerk")
        await self._clerk.release(svix_id)
        yield await self._webhook("… which arrives now", "user.created", svix_id, "unchanged")

    async def _disorder(self) -> AsyncIterator[Step]:
        ada = self.people["Ada"]
        await self._clerk.plan(hold=True)
        first = await self._clerk.rename(ada.user_id, "Augusta")
        await self._clerk.plan(repeat=2)
        second = await self._clerk.rename(ada.user_id, "Augusta Ada")
        yield await self._webhook(
            "Ada is renamed twice; the second comes first", "user.updated", second, "updated"
        )
        yield await self._webhook("… and comes again", "user.updated", second, "unchanged", 2)
        await self._clerk.release(first)
        yield await self._webhook("… then the first one", "user.updated", first, "stale")
        yield await self._request("Ada is who she last was", ada, "“Augusta Ada”")

    async def _deletion(self) -> AsyncIterator[Step]:
        ada = self.people["Ada"]
        token = await self._clerk.token(ada.session_id)
        await self._clerk.plan(hold=True)
        late = await self._clerk.rename(ada.user_id, "Nobody")
        deletion = await self._clerk.delete(ada.user_id)
        yield await self._webhook("Ada is deleted", "user.deleted", deletion, "deleted")
        yield await self._refusal("Her token is still valid", token)
        await self._clerk.release(late)
        yield await self._webhook("An update of hers comes late", "user.updated", late, "gone")
        yield await self._refusal("She stays deleted", token)

    async def _someone(self, name: str) -> Someone:
        user_id = await self._clerk.sign_up(f"{name.lower()}.{token_hex(4)}@example.com", name)
        someone = Someone(user_id, await self._clerk.session(user_id))
        self.people[name] = someone
        return someone

    async def _webhook(
        self, happening: str, kind: str, svix_id: str, expected: str, nth: int = 1
    ) -> Step:
        line = await self._log.line(lambda line: line.get("svix_id") == svix_id, nth)
        return Step(
            happening,
            f"webhook {kind}",
            line["status"],
            line["outcome"],
            line["duration_ms"],
            right=(line["status"], line["outcome"]) == (204, expected),
        )

    async def _request(self, happening: str, someone: Someone, expected: str) -> Step:
        token = await self._clerk.token(someone.session_id)
        fetched = await self._clerk.fetches()
        answer, milliseconds = await self._me(token)
        calls = await self._clerk.fetches() - fetched
        record = answer.json()
        name = record.get("first_name")
        seen = f"{record.get('synced_by')}, {calls or 'no'} call to Clerk"
        effect = f"“{name}”" if expected.startswith("“") else seen
        right = answer.status_code == 200 and effect == expected
        return Step(happening, "GET /v1/me", answer.status_code, effect, milliseconds, right)

    async def _refusal(self, happening: str, token: str) -> Step:
        answer, milliseconds = await self._me(token)
        code = answer.json().get("code", "served")
        right = (answer.status_code, code) == (401, "user_deleted")
        return Step(happening, "GET /v1/me", answer.status_code, code, milliseconds, right)

    async def _me(self, token: str) -> tuple[httpx.Response, float]:
        started = time.perf_counter()
        answer = await self._service.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        return answer, (time.perf_counter() - started) * 1000

"""The demo: changes at the emulated Clerk, and how the running service reacts to each.

Every result is observed. A webhook's step is the service's own log line about it, a request's
step is the answer.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from secrets import token_hex

import httpx

from scripts.run.children import Child
from scripts.run.clerk import Clerk
from scripts.run.shop import Shop


@dataclass(frozen=True)
class Step:
    """One webhook or request that reached the service. `passed`: the result is the right one."""

    event: str
    request: str
    status: int
    result: str
    milliseconds: float
    passed: bool


@dataclass(frozen=True)
class Person:
    """A user at Clerk who is signed in."""

    user_id: str
    session_id: str


class Story:
    """`people` holds the users by their first names, as soon as they have signed up."""

    def __init__(self, clerk: Clerk, service: httpx.AsyncClient, shop: Shop, log: Child) -> None:
        self._clerk = clerk
        self._shop = shop
        self._service = service
        self._log = log
        self.people: dict[str, Person] = {}

    async def steps(self) -> AsyncIterator[Step]:
        """Run the demo. Yields each step when its result is known."""
        for part in (self._sign_up, self._early_request, self._disorder, self._deletion):
            async for step in part():
                yield step

    async def _sign_up(self) -> AsyncIterator[Step]:
        ada = await self._person("Ada")
        svix_id = await self._clerk.last_message(ada.user_id)
        yield await self._webhook("Ada signs up", "user.created", svix_id, "created")
        expected = "synced_by: webhook; Clerk calls: 0"
        yield await self._source("Ada makes her first request", ada, expected)

    async def _early_request(self) -> AsyncIterator[Step]:
        await self._clerk.plan(hold=True, repeat=2)
        grace = await self._person("Grace")
        svix_id = await self._clerk.last_message(grace.user_id)
        expected = "synced_by: jit; Clerk calls: 1"
        yield await self._source("Grace's request beats her webhook", grace, expected)
        await self._clerk.release(svix_id)
        yield await self._webhook("Grace's webhook arrives", "user.created", svix_id, "unchanged")
        again = "Grace's webhook arrives again"
        yield await self._webhook(again, "user.created", svix_id, "unchanged", nth=2)
        status, milliseconds = await self._shop.read()
        mails = self._shop.mails.count(grace.user_id)
        event, result = "A shop sends Grace a welcome mail", f"mails: {mails}"
        yield _told(event, status, result, milliseconds, passed=mails == 1)

    async def _disorder(self) -> AsyncIterator[Step]:
        ada = self.people["Ada"]
        await self._clerk.plan(hold=True)
        first = await self._clerk.rename(ada.user_id, "Augusta")
        await self._clerk.plan(repeat=2)
        second = await self._clerk.rename(ada.user_id, "Augusta Ada")
        event = "user.updated"
        yield await self._webhook("Ada's 2nd rename arrives first", event, second, "updated")
        yield await self._webhook("The 2nd rename arrives again", event, second, "unchanged", nth=2)
        await self._clerk.release(first)
        yield await self._webhook("The 1st rename arrives late", event, first, "stale")
        answer, milliseconds = await self._me(await self._clerk.token(ada.session_id))
        name = answer.json().get("first_name")
        yield Step(
            "Ada keeps her newest name",
            "GET /v1/me",
            answer.status_code,
            f"first_name: {name}",
            milliseconds,
            passed=(answer.status_code, name) == (200, "Augusta Ada"),
        )

    async def _deletion(self) -> AsyncIterator[Step]:
        ada = self.people["Ada"]
        token = await self._clerk.token(ada.session_id)
        await self._clerk.plan(hold=True)
        late = await self._clerk.rename(ada.user_id, "Late")
        deletion = await self._clerk.delete(ada.user_id)
        yield await self._webhook("Ada is deleted", "user.deleted", deletion, "deleted")
        yield await self._refusal("Ada's session token is still valid", token)
        await self._clerk.release(late)
        yield await self._webhook("An update of Ada arrives late", "user.updated", late, "gone")
        yield await self._refusal("Ada stays deleted", token)
        status, milliseconds = await self._shop.read()
        left = len(self._shop.workspaces & {ada.user_id})
        event, result = "The shop removes Ada's workspace", f"workspaces: {left}"
        yield _told(event, status, result, milliseconds, passed=left == 0)

    async def _person(self, name: str) -> Person:
        user_id = await self._clerk.sign_up(f"{name.lower()}.{token_hex(4)}@example.com", name)
        person = Person(user_id, await self._clerk.session(user_id))
        self.people[name] = person
        return person

    async def _webhook(
        self, event: str, event_type: str, svix_id: str, expected: str, nth: int = 1
    ) -> Step:
        line = await self._log.line(lambda line: line.get("svix_id") == svix_id, nth)
        return Step(
            event,
            f"webhook {event_type}",
            line["status"],
            line["outcome"],
            line["duration_ms"],
            passed=(line["status"], line["outcome"]) == (204, expected),
        )

    async def _source(self, event: str, person: Person, expected: str) -> Step:
        """A request that shows how the record came, and how often Clerk was called for it."""
        token = await self._clerk.token(person.session_id)
        before = await self._clerk.fetches()
        answer, milliseconds = await self._me(token)
        calls = await self._clerk.fetches() - before
        result = f"synced_by: {answer.json().get('synced_by')}; Clerk calls: {calls}"
        passed = (answer.status_code, result) == (200, expected)
        return Step(event, "GET /v1/me", answer.status_code, result, milliseconds, passed)

    async def _refusal(self, event: str, token: str) -> Step:
        answer, milliseconds = await self._me(token)
        code = answer.json().get("code", "accepted")
        passed = (answer.status_code, code) == (401, "user_deleted")
        return Step(event, "GET /v1/me", answer.status_code, code, milliseconds, passed)

    async def _me(self, token: str) -> tuple[httpx.Response, float]:
        started = time.perf_counter()
        answer = await self._service.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        return answer, (time.perf_counter() - started) * 1000


def _told(event: str, status: int, result: str, milliseconds: float, *, passed: bool) -> Step:
    """A step of the shop, which reads the changes."""
    is_right = passed and status == httpx.codes.OK
    return Step(event, "GET /v1/changes", status, result, milliseconds, is_right)

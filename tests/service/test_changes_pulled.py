"""`GET /v1/changes`: the changes of all users for another service, as pages and as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from domain.user import UserId
from scripts.clerk_emulator import ClerkEmulator
from service.routes import changes as route
from service.services import services_of
from service.settings import Settings
from tests.adapters.clerk.payloads import ADA
from tests.people import deleted, new_id, observed, user
from tests.postgres_server import Sql
from tests.running import (
    UNAUTHORIZED,
    Service,
    bearer,
    problem,
    running_service,
    settings_for,
)
from tests.service.listening import listening

TOKEN = "a token of another service, which is long enough"
PATH = "/v1/changes"
STREAM = {**bearer(TOKEN), "Accept": "text/event-stream"}
UNKNOWN = problem(401, "changes_token_invalid")


@pytest.fixture
async def open_service(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(clerk, store_url, changes_token=TOKEN) as service:
        yield service


async def create(service: Service, *people: UserId, version: int = 1) -> None:
    store = services_of(service.app).store
    await store.users.sync_many([observed(user(one, updated=version)) for one in people])


async def pulled(service: Service, **query: int | str) -> dict[str, Any]:
    answer = await service.http.get(PATH, params=query, headers=bearer(TOKEN))
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_a_reader_gets_every_change_with_the_record_as_it_is_now(
    open_service: Service,
) -> None:
    ada, bob = new_id(), new_id()
    await create(open_service, ada, bob)
    store = services_of(open_service.app).store
    await store.users.sync(observed(deleted(bob)))
    page = await pulled(open_service, after=0)
    told = {(one["position"], one["clerk_id"], one["kind"]) for one in page["changes"]}
    first, second = sorted((ada, bob))
    assert told == {(1, first, "created"), (2, second, "created"), (3, bob, "deleted")}
    records = {one["clerk_id"]: one["user"] for one in page["changes"]}
    assert records[ada]["email"] == "ada@example.com"
    assert records[ada]["id"] == next(
        one["user_id"] for one in page["changes"] if one["clerk_id"] == ada
    )
    assert records[bob] is None
    assert page["next"] == 3


async def test_pages_follow_each_other_and_the_last_one_is_empty(open_service: Service) -> None:
    await create(open_service, *(new_id() for _ in range(5)))
    seen, after = [], 0
    while (page := await pulled(open_service, after=after, limit=2))["changes"]:
        seen += [one["position"] for one in page["changes"]]
        after = page["next"]
    assert (seen, after) == ([1, 2, 3, 4, 5], 5)


async def test_without_a_position_it_begins_with_the_oldest(
    open_service: Service, sql: Sql
) -> None:
    await create(open_service, *(new_id() for _ in range(4)))
    await pulled(open_service)
    await sql.execute("delete from user_changes where position < 3")
    assert [one["position"] for one in (await pulled(open_service))["changes"]] == [3, 4]


@pytest.mark.parametrize("after", [0, 1, 9])
async def test_who_fell_behind_or_is_ahead_of_the_log_is_told(
    open_service: Service, sql: Sql, after: int
) -> None:
    await create(open_service, *(new_id() for _ in range(4)))
    await pulled(open_service)
    await sql.execute("delete from user_changes where position < 3")
    answer = await open_service.http.get(PATH, params={"after": after}, headers=bearer(TOKEN))
    assert (answer.status_code, answer.json()) == (410, problem(410, "changes_expired"))


@pytest.mark.parametrize(
    "query", ["after=-1", "after=x", "after=1.5", "limit=0", "limit=1001", f"after={2**64}"]
)
async def test_what_is_no_number_is_refused(open_service: Service, query: str) -> None:
    answer = await open_service.http.get(f"{PATH}?{query}", headers=bearer(TOKEN))
    assert (answer.status_code, answer.json()) == (422, problem(422, "request_invalid"))


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), bearer(""), {"Authorization": "Basic x"}])
async def test_nobody_reads_without_the_token(
    open_service: Service, headers: dict[str, str]
) -> None:
    answer = await open_service.http.get(PATH, headers=headers)
    assert (answer.status_code, answer.json()) == (401, UNKNOWN)
    assert answer.headers["www-authenticate"]


async def test_a_session_token_opens_nothing_here_and_the_token_opens_nothing_else(
    open_service: Service, clerk: ClerkEmulator
) -> None:
    answer = await open_service.http.get(PATH, headers=bearer(clerk.session_token(ADA)))
    assert (answer.status_code, answer.json()) == (401, UNKNOWN)
    answer = await open_service.http.get("/v1/me", headers=bearer(TOKEN))
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


async def test_without_the_setting_there_is_no_such_route(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with running_service(clerk, store_url) as service:
        assert (await service.http.get(PATH, headers=bearer(TOKEN))).status_code == 404


def test_a_short_token_is_refused(clerk: ClerkEmulator, store_url: str) -> None:
    with pytest.raises(ValueError, match="32"):
        settings_for(clerk, store_url, changes_token="short")


@dataclass(frozen=True)
class Event:
    id: int
    kind: str
    data: dict[str, Any]


async def events(answer: httpx.Response) -> AsyncIterator[Event | str]:
    """The events of a stream, and its comments as text."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line.startswith(":"):
            yield line
        elif line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


@asynccontextmanager
async def stream(url: str, **headers: str) -> AsyncIterator[AsyncIterator[Event | str]]:
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("GET", f"{url}{PATH}", headers={**STREAM, **headers}) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield events(answer)


async def next_event(stream: AsyncIterator[Event | str]) -> Event:
    async with asyncio.timeout(30):
        async for event in stream:
            if isinstance(event, Event):
                return event
    raise AssertionError("the stream has ended")


@asynccontextmanager
async def on_a_port(settings: Settings) -> AsyncIterator[tuple[Service, str]]:
    """The application behind a real socket."""
    from service.app import create_app

    app = create_app(settings)
    async with listening(app, settings) as at, httpx.AsyncClient() as http:
        yield Service(http, app, ""), f"http://127.0.0.1:{at.port}"


async def test_a_stream_tells_each_change_within_a_second_and_resumes_over_a_restart(
    clerk: ClerkEmulator, store_url: str
) -> None:
    settings = settings_for(clerk, store_url, changes_token=TOKEN)
    ada = new_id()
    async with on_a_port(settings) as (service, url):
        await create(service, ada)
        async with stream(url) as told:
            first = await next_event(told)
            await create(service, ada, version=2)
            began = asyncio.get_running_loop().time()
            second = await next_event(told)
            assert asyncio.get_running_loop().time() - began < 5  # usually 0.1 s
    assert (first.id, first.kind, second.id, second.kind) == (1, "created", 2, "updated")
    assert second.data["changed"] == ["first_name"]
    assert second.data["user"]["first_name"] == "Ada 2"
    async with on_a_port(settings) as (service, url):
        await create(service, ada, version=3)
        async with stream(url, **{"Last-Event-ID": str(second.id)}) as told:
            assert (await next_event(told)).id == 3


async def test_a_silent_stream_shows_that_it_lives(
    clerk: ClerkEmulator, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "HEARTBEAT", 0.2)
    monkeypatch.setattr(route, "LOOK", 0.1)
    settings = settings_for(clerk, store_url, changes_token=TOKEN)
    async with on_a_port(settings) as (_, url), stream(url) as told, asyncio.timeout(30):
        comments = []
        async for line in told:
            comments.append(line)
            if len(comments) == 3:
                break
    assert comments == [": changes", ": still here", ": still here"]


async def test_a_stream_ends_when_the_service_stops(clerk: ClerkEmulator, store_url: str) -> None:
    settings = settings_for(clerk, store_url, changes_token=TOKEN)
    async with on_a_port(settings) as (service, url), stream(url) as told:
        services_of(service.app).readiness.drain()
        async with asyncio.timeout(10):
            assert [one async for one in told] == [": changes"]


async def test_a_stream_ends_when_the_store_loses_what_it_has_told(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    """As after a failover to a standby that lacks the newest changes."""
    settings = settings_for(clerk, store_url, changes_token=TOKEN)
    async with on_a_port(settings) as (service, url), stream(url) as told:
        await create(service, *(new_id() for _ in range(3)))
        for position in (1, 2, 3):
            assert (await next_event(told)).id == position
        await sql.execute("delete from user_changes where position > 1")
        async with asyncio.timeout(10):
            assert [one async for one in told if isinstance(one, Event)] == []
        answer = await service.http.get(f"{url}{PATH}", headers={**STREAM, "Last-Event-ID": "3"})
    assert (answer.status_code, answer.json()) == (410, problem(410, "changes_expired"))


async def test_a_stream_that_cannot_be_resumed_is_refused(
    clerk: ClerkEmulator, store_url: str
) -> None:
    settings = settings_for(clerk, store_url, changes_token=TOKEN)
    async with on_a_port(settings) as (service, url):
        answer = await service.http.get(f"{url}{PATH}", headers={**STREAM, "Last-Event-ID": "7"})
    assert (answer.status_code, answer.json()) == (410, problem(410, "changes_expired"))

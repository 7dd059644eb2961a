"""A first request syncs its user just in time; a known user never causes a call to Clerk."""

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.postgres_server import Sql
from tests.running import Service, running_service


async def test_a_first_request_that_beats_its_webhook_is_served(
    service: Service, clerk: ClerkEmulator
) -> None:
    email = f"{uuid4().hex}@example.com"
    person = clerk.create_user(email_address=[email], first_name="Grace")
    answer = await service.me(clerk.session_token(person["id"]))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json()
    assert document["email"] == email
    assert (document["clerk_id"], document["synced_by"]) == (person["id"], "jit")


async def test_a_known_user_causes_no_call(service: Service, clerk: ClerkEmulator) -> None:
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    token = clerk.session_token(person["id"])
    await service.me(token)
    clerk.calls.clear()
    for _ in range(20):
        assert (await service.me(token)).status_code == 200
    assert clerk.calls.count("GetUser") == 0


async def test_two_hundred_first_requests_of_one_user_make_one_call(
    service: Service, clerk: ClerkEmulator
) -> None:
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    token = clerk.session_token(person["id"])
    answers = await asyncio.gather(*(service.me(token) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert clerk.calls.count("GetUser") == 1


async def test_a_user_clerk_does_not_know_is_refused_and_asked_for_once(
    service: Service, clerk: ClerkEmulator
) -> None:
    token = clerk.session_token("user_nobody0000000000000000000")
    for _ in range(3):
        answer = await service.me(token)
        assert (answer.status_code, answer.json()["code"]) == (401, "user_unknown")
    assert clerk.calls.count("GetUser") == 1


async def test_the_session_route_never_syncs(service: Service, clerk: ClerkEmulator) -> None:
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    headers = {"Authorization": f"Bearer {clerk.session_token(person['id'])}"}
    answer = await service.http.get("/v1/session", headers=headers)
    assert (answer.status_code, answer.json()["user_id"]) == (200, person["id"])
    assert clerk.calls.count("GetUser") == 0


async def test_a_user_banned_at_clerk_is_refused_at_the_first_request(
    service: Service, clerk: ClerkEmulator
) -> None:
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    token = clerk.session_token(person["id"])
    clerk.ban_user(person["id"])
    answer = await service.me(token)
    assert (answer.status_code, answer.json()["code"]) == (403, "user_banned")


async def test_a_locked_user_is_served(service: Service, clerk: ClerkEmulator) -> None:
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    clerk.lock_user(person["id"])
    assert (await service.me(clerk.session_token(person["id"]))).status_code == 200


OUTAGES = {
    "slow": ApiFault(kind=FaultKind.SLOW, seconds=20),
    "dripping": ApiFault(kind=FaultKind.DRIP, seconds=20),
    "limiting": ApiFault(kind=FaultKind.RATE_LIMIT, retry_after="20"),
    "failing": ApiFault(kind=FaultKind.ERROR, status=503),
    "lying": ApiFault(kind=FaultKind.WRONG_USER),
    "a page": ApiFault(kind=FaultKind.HTML, status=200),
    "a page that says 404": ApiFault(kind=FaultKind.HTML, status=404),
    "cut off": ApiFault(kind=FaultKind.TRUNCATED),
    "hanging up": ApiFault(kind=FaultKind.DISCONNECT),
    "redirecting": ApiFault(kind=FaultKind.REDIRECT),
    "huge": ApiFault(kind=FaultKind.HUGE),
    "a bomb": ApiFault(kind=FaultKind.GZIP_BOMB, size=20_000_000),
    "wrong key": ApiFault(kind=FaultKind.ERROR, status=401),
}


DEADLINE = 1.0
THE_MACHINES = 9.0
"""Tolerance in seconds for a busy machine. Clerk takes twenty seconds."""


@pytest.fixture
async def hurried(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(clerk, store_url, jit_deadline=DEADLINE) as service:
        yield service


@pytest.mark.parametrize("outage", OUTAGES)
async def test_whatever_clerk_does_the_answer_comes_in_time_and_nothing_is_written(
    hurried: Service, clerk: ClerkEmulator, sql: Sql, outage: str
) -> None:
    """With real clocks here; to the millisecond in `tests/simulation`."""
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    token = clerk.session_token(person["id"])
    clerk.faults.add(OUTAGES[outage])
    started = time.monotonic()
    answer = await hurried.me(token)
    assert time.monotonic() - started < DEADLINE + THE_MACHINES
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert await sql.fetchval("select count(*) from users") == 0


async def test_a_longer_deadline_is_clerks_as_well(clerk: ClerkEmulator, store_url: str) -> None:
    person = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUser", seconds=1.7))
    async with running_service(clerk, store_url, jit_deadline=10) as service:
        assert (await service.me(clerk.session_token(person["id"]))).status_code == 200
    assert clerk.calls.count("GetUser") == 1


async def test_no_more_calls_are_made_than_the_settings_allow(
    clerk: ClerkEmulator, store_url: str
) -> None:
    """Two thirds of ten are the service's: two at once, and then four in nine seconds."""
    people = [clerk.create_user(email_address=[f"{uuid4().hex}@example.com"]) for _ in range(9)]
    tokens = [clerk.session_token(person["id"]) for person in people]
    async with running_service(clerk, store_url, clerk_rate_limit=10, jit_deadline=3) as service:
        began = time.monotonic()
        answers = await asyncio.gather(*map(service.me, tokens))
        seconds = time.monotonic() - began
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert clerk.calls.count("GetUser") == statuses.count(200) <= (20 + 4 * seconds) / 9

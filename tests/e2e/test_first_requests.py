"""First requests that arrive before the webhook, on two replicas at once."""

import asyncio

import httpx

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.e2e.crowd import ask_all
from tests.e2e.messages import deletion, sign_up
from tests.e2e.processes import ServiceProcess, eventually
from tests.postgres_server import Sql

REQUESTS = 100


async def test_many_first_requests_of_one_user_cost_one_call_to_clerk_per_process_and_make_one_row(
    clerk: ClerkEmulator, services: list[ServiceProcess], sql: Sql
) -> None:
    user_id = clerk.create_user(email_address=["first@example.com"])["id"]
    token = clerk.session_token(user_id)
    clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUser", seconds=0.5))
    answers = await ask_all([(one, token) for one in services] * (REQUESTS // 2), REQUESTS)
    assert {(answer.status, answer.document.get("code")) for answer in answers} == {(200, None)}
    assert len({answer.document["id"] for answer in answers}) == 1
    assert clerk.calls.count("GetUser") <= len(services)
    assert await sql.fetchval("select count(*) from users where clerk_id = $1", user_id) == 1


async def test_a_deletion_that_lands_during_a_fetch_wins(
    clerk: ClerkEmulator, services: list[ServiceProcess], sql: Sql
) -> None:
    asked, told = services
    arrival = sign_up(clerk)
    token = clerk.session_token(arrival.user_id)
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD, on="GetUser"))
    first_request = asyncio.create_task(asked.me(token))
    await eventually(lambda: clerk.calls.peak("GetUser") > 0)
    assert (await told.deliver(deletion(clerk, arrival.user_id))).status_code == 204
    clerk.faults.clear()

    assert refusal(await first_request) == (401, "user_deleted")
    assert refusal(await told.me(token)) == (401, "user_deleted")
    assert await sql.fetchval(
        "select deleted_at is not null and email is null from users where clerk_id = $1",
        arrival.user_id,
    )


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]

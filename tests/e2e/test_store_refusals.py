"""The store answers with errors: the answers to senders and callers, and the recovery."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.postgres.faults import refusing
from tests.e2e.messages import Message, deletion, sign_up, update
from tests.e2e.truth import differences, unrecorded
from tests.postgres_server import Sql
from tests.running import Service, problem, running_service

REFUSALS = {
    "disk full": "53100",
    "too many connections": "53300",
    "serialization failure": "40001",
    "deadlock": "40P01",
    "statement timeout": "57014",
    "lock timeout": "55P03",
    "read-only": "25006",
    "shutting down": "57P01",
    "input or output": "58030",
    "an error of its own": "XX000",
}
LONGEST_ANSWER = 10.0
"""Seconds."""
UNAVAILABLE = problem(503, "storage_unavailable")


@pytest.fixture
async def in_process(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(clerk, store_url, clerk_rate_limit=100_000) as service:
        yield service


@pytest.mark.parametrize("sqlstate", REFUSALS.values(), ids=REFUSALS)
async def test_a_refusal_of_the_store_is_503_with_retry_after_until_it_is_over(
    sqlstate: str, clerk: ClerkEmulator, in_process: Service, sql: Sql
) -> None:
    known, stranger = sign_up(clerk), sign_up(clerk)
    assert (await deliver(in_process, known)).status_code == 204
    messages = [sign_up(clerk), update(clerk, known.user_id), deletion(clerk, known.user_id)]
    async with refusing(sql, sqlstate):
        answers = [
            *[await in_time(deliver(in_process, message)) for message in messages],
            await in_time(in_process.me(clerk.session_token(stranger.user_id))),
        ]
        served = await in_process.me(clerk.session_token(known.user_id))
        health = await in_process.http.get("/healthz")
    assert [answer.json() for answer in answers] == [UNAVAILABLE] * len(answers)
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert (served.status_code, health.status_code) == (200, 200)

    assert {(await deliver(in_process, message)).status_code for message in messages} == {204}
    assert await unrecorded(sql, {message.svix_id for message in messages}) == set()
    assert await differences(clerk, sql, {message.user_id for message in messages}) == {}


@pytest.mark.parametrize("sqlstate", ["53100", "40P01"], ids=["disk full", "deadlock"])
async def test_what_cannot_be_read_is_not_acknowledged_while_it_cannot_be_quarantined(
    sqlstate: str, in_process: Service, sql: Sql
) -> None:
    svix_id = f"msg_unreadable_{sqlstate}"
    async with refusing(sql, sqlstate, table="sync_journal"):
        answer = await in_process.deliver(b"unreadable", svix_id=svix_id)
        assert (answer.status_code, answer.json()) == (503, UNAVAILABLE)
    assert (await in_process.deliver(b"unreadable", svix_id=svix_id)).status_code == 202


async def deliver(service: Service, message: Message) -> httpx.Response:
    return await service.deliver(message.body, svix_id=message.svix_id)


async def in_time(answering: Awaitable[httpx.Response]) -> httpx.Response:
    async with asyncio.timeout(LONGEST_ANSWER):
        return await answering

"""What bounds a call of Clerk's Backend API: its deadline, the circuit and our rate."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from adapters.clerk.api.calls import REQUEST_LIMITS
from adapters.clerk.api.users import ClerkIdentityProvider
from adapters.clerk.http import HttpClient
from domain.errors import IdentityProviderUnavailable
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply
from tests.adapters.clerk.providers import (
    BAD_KEY,
    BROKEN,
    FOUND,
    LIMITS,
    NOT_FOUND,
    USER_ID,
    Reports,
    asking_to_wait,
    provider,
)

THE_MACHINES = 4.0
"""Tolerance in seconds for a busy machine. The times compared here differ by more."""

Opened = tuple[ClerkIdentityProvider, Clock]
"""A provider whose circuit is open, and its clock."""


@pytest.fixture
def opened(client: HttpClient) -> Opened:
    clock = Clock()
    users = provider(client, clock=clock)
    users._calls._circuit.trip()
    return users, clock


class TestDeadline:
    def test_at_request_time_is_three_seconds_and_three_tries(self) -> None:
        assert (REQUEST_LIMITS.deadline, REQUEST_LIMITS.tries) == (3.0, 3)

    @pytest.mark.parametrize(
        "slow",
        [
            Reply(silent=True),
            Reply(body=FOUND.body, drip=0.02),
            Reply(body=FOUND.body, after=10),
        ],
    )
    async def test_bounds_the_whole_call(
        self, clerk: HttpServer, client: HttpClient, slow: Reply
    ) -> None:
        clerk.reply = slow
        limits = replace(LIMITS, deadline=0.5, attempt=10.0)
        started = time.monotonic()
        with pytest.raises(IdentityProviderUnavailable):
            await provider(client, limits=limits).fetch(USER_ID)
        assert 0.45 <= time.monotonic() - started < 0.5 + THE_MACHINES

    async def test_leaves_time_for_another_try(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.replies(Reply(body=FOUND.body, drip=0.02), then=FOUND)
        limits = replace(LIMITS, deadline=10.0, attempt=1.0)
        assert await provider(client, limits=limits).fetch(USER_ID)

    async def test_counts_the_time_in_our_own_queue(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = FOUND
        users = provider(client, max_rate=3, limits=replace(LIMITS, deadline=2.0))
        assert await users.fetch(USER_ID)
        with pytest.raises(IdentityProviderUnavailable):
            await users.fetch(USER_ID)
        assert len(clerk.asked) == 1

    async def test_reports_the_attempt_it_cut_short(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = Reply(silent=True)
        reports = Reports()
        limits = replace(LIMITS, deadline=0.5, attempt=10.0)
        with pytest.raises(IdentityProviderUnavailable):
            await provider(client, limits=limits, reports=reports).fetch(USER_ID)
        assert reports.attempts == [("fetch", "cancelled")]


class TestCircuit:
    @pytest.mark.parametrize("failure", [BROKEN, Reply(body=b"x", length=9)])
    async def test_opens_after_five_failures(
        self, clerk: HttpServer, client: HttpClient, failure: Reply
    ) -> None:
        clerk.reply = failure
        users = provider(client, clock=Clock())
        for _ in range(5):
            with pytest.raises(IdentityProviderUnavailable):
                await users.fetch(USER_ID)
        assert len(clerk.asked) == 5

    async def test_that_is_open_says_when_to_come_back(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = BROKEN
        users = provider(client, clock=Clock())
        errors = []
        for _ in range(3):
            with pytest.raises(IdentityProviderUnavailable) as caught:
                await users.fetch(USER_ID)
            errors.append(caught.value)
        assert errors[-1].retry_after == 5

    @pytest.mark.parametrize("status", [401, 403])
    async def test_opens_at_once_when_our_key_is_refused(
        self, clerk: HttpServer, client: HttpClient, status: int
    ) -> None:
        clerk.reply = replace(BAD_KEY, status=status)
        users = provider(client, clock=Clock())
        for _ in range(3):
            with pytest.raises(IdentityProviderUnavailable) as caught:
                await users.fetch(USER_ID)
            assert "sk_test_secret" not in repr(caught.value)
        assert len(clerk.asked) == 1

    @pytest.mark.parametrize("answer", [NOT_FOUND, Reply(status=400), asking_to_wait("0")])
    async def test_stays_closed_when_clerk_is_well(
        self, clerk: HttpServer, client: HttpClient, answer: Reply
    ) -> None:
        clerk.replies(*[answer] * 6, then=FOUND)
        users = provider(client, limits=replace(LIMITS, tries=1))
        for _ in range(6):
            with suppress(IdentityProviderUnavailable):
                await users.fetch(USER_ID)
        assert len(clerk.asked) == 6

    async def test_says_whether_clerk_answers(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.reply = BAD_KEY
        users = provider(client, clock=Clock())
        assert users.answers
        with pytest.raises(IdentityProviderUnavailable):
            await users.fetch(USER_ID)
        assert not users.answers

    async def test_says_so_again_a_minute_after_the_last_failure_though_nobody_calls(
        self, opened: Opened
    ) -> None:
        users, clock = opened
        assert not users.answers
        clock.pass_seconds(60)
        assert users.answers

    async def test_closes_with_a_success(self, clerk: HttpServer, client: HttpClient) -> None:
        clerk.replies(*[BROKEN] * 4, FOUND, *[BROKEN] * 4, then=FOUND)
        users = provider(client, limits=replace(LIMITS, tries=1))
        for _ in range(9):
            with suppress(IdentityProviderUnavailable):
                await users.fetch(USER_ID)
        assert await users.fetch(USER_ID)

    async def test_lets_one_call_try_after_the_pause(
        self, clerk: HttpServer, opened: Opened
    ) -> None:
        clerk.replies(replace(FOUND, after=0.05), then=FOUND)
        users, clock = opened
        clock.pass_seconds(5)
        ended = await asyncio.gather(
            *(users.fetch(USER_ID) for _ in range(10)), return_exceptions=True
        )
        assert sum(isinstance(end, IdentityProviderUnavailable) for end in ended) == 9
        assert len(clerk.asked) == 1
        assert users.answers

    async def test_does_not_close_with_a_redirect(self, clerk: HttpServer, opened: Opened) -> None:
        clerk.reply = Reply(status=302)
        users, clock = opened
        clock.pass_seconds(5)
        with pytest.raises(IdentityProviderUnavailable):
            await users.fetch(USER_ID)
        assert not users.answers


class TestRate:
    async def test_is_not_used_up_by_calls_that_clerk_has_stopped_meanwhile(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        """Three calls at once; the fourth has to wait two seconds, which is within its deadline."""
        clerk.reply = asking_to_wait("30")
        users = provider(client, max_rate=9)
        many = [users.fetch(USER_ID) for _ in range(4)]
        await asyncio.gather(*many, return_exceptions=True)
        assert len(clerk.asked) == 3

    async def test_never_exceeds_the_quota_within_ten_seconds(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = FOUND
        users = provider(client, max_rate=30, limits=replace(LIMITS, deadline=2.0))
        started = time.monotonic()
        many = [users.fetch(USER_ID) for _ in range(100)]
        ended = await asyncio.gather(*many, return_exceptions=True)
        refused = sum(isinstance(end, IdentityProviderUnavailable) for end in ended)
        assert refused >= 100 - len(clerk.asked)  # a call that was sent may end at its deadline
        # A third of it at once, and then a fifteenth of it a second.
        assert 10 <= len(clerk.asked) <= 11 + 2 * (time.monotonic() - started)

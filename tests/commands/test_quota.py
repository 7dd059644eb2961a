"""One quota, shared by the service and an operator's command."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from service.app import create_app
from service.bootstrap import operations
from tests.commands.terminal import Ended, Terminal
from tests.e2e.processes import ServiceProcess, environment_for, running_process
from tests.people import new_id
from tests.running import bearer, client_of, settings_for

SMALLEST = 10


async def test_with_the_smallest_quota_a_command_can_ask(
    clerk: ClerkEmulator, store_url: str
) -> None:
    clerk.create_users(2)
    settings = settings_for(clerk, store_url, clerk_rate_limit=SMALLEST)
    async with operations(settings) as available:
        assert await available.clerk.bulk.count() == 2


async def test_with_the_smallest_quota_the_service_can_ask(
    clerk: ClerkEmulator, store_url: str
) -> None:
    person = clerk.create_user(email_address=["ada@example.com"])["id"]
    app = create_app(settings_for(clerk, store_url, clerk_rate_limit=SMALLEST))
    async with app.router.lifespan_context(app), client_of(app) as http:
        answer = await http.get("/v1/me", headers=bearer(clerk.session_token(person)))
    assert answer.status_code == 200


@pytest.mark.parametrize("too_small", [1, 9, 0, -1])
def test_a_smaller_one_is_refused_by_its_name(
    clerk: ClerkEmulator, store_url: str, too_small: int
) -> None:
    with pytest.raises(ValueError, match="clerk_rate_limit"):
        settings_for(clerk, store_url, clerk_rate_limit=too_small)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_first_requests_and_a_backfill_together_never_exceed_clerks_limit(
    store_url: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with running_emulator(EmulatorConfig()) as clerk:
        clerk.create_users(20_000)
        settings = {**clerk.config.environment(), "DATABASE_URL": store_url}
        service_settings = environment_for(clerk, store_url, CLERK_RATE_LIMIT="")
        async with running_process(service_settings, tmp_path) as service:
            backfill = asyncio.create_task(Terminal(settings, tmp_path).run("backfill", "--json"))
            await asyncio.gather(*(_strangers(clerk, service, backfill) for _ in range(8)))
            ended = backfill.result()
        calls = {name: clerk.calls.count(name) for name in ("GetUser", "GetUserList")}
        record_property("calls", f"{calls}, of them 429: {clerk.calls.count(status=429)}")
        assert (ended.code, clerk.calls.count(status=429)) == (0, 0)
        assert calls["GetUser"] > 60
        assert calls["GetUserList"] > 40


async def _strangers(
    clerk: ClerkEmulator, service: ServiceProcess, meanwhile: "asyncio.Task[Ended]"
) -> None:
    """Make first requests, one after the other, until something else has ended."""
    while not meanwhile.done():
        person = clerk.create_user(email_address=[f"{new_id()}@example.com"])["id"]
        assert (await service.me(clerk.session_token(person))).status_code in {200, 503}

"""A wrong host clock, and its correction: the effects, and what must not be affected."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from scripts.clerk_emulator.events import event
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from tests.running import svix_headers
from tests.simulation.instance import INSTANCE
from tests.simulation.scene import WEBHOOKS, Scene, scene
from tests.simulation.virtual_time import calendar, in_virtual_time

AN_HOUR = 3600
LIFETIME = 60
"""Seconds of a session token."""


@pytest.mark.parametrize(("ahead", "status"), [(-6, 401), (-4, 200), (0, 200), (4, 200), (6, 200)])
@in_virtual_time
async def test_a_new_token_may_be_up_to_five_seconds_ahead_of_us(ahead: int, status: int) -> None:
    async with scene() as here:
        known = await here.known()
        calendar().step(ahead)
        assert (await here.ask(known)).status == status


@pytest.mark.parametrize(("ahead", "status"), [(-6, 200), (0, 200), (4, 200), (6, 401)])
@in_virtual_time
async def test_a_token_is_good_for_five_seconds_after_its_time(ahead: int, status: int) -> None:
    async with scene() as here:
        known = await here.known()
        calendar().step(LIFETIME + ahead)
        assert (await here.ask(known, here.clerk.session_token(known))).status == status


@pytest.mark.parametrize(
    ("ahead", "status"),
    [(-301, 400), (-299, 204), (-6, 204), (0, 204), (6, 204), (299, 204), (301, 400)],
)
@in_virtual_time
async def test_a_delivery_may_be_five_minutes_off(ahead: int, status: int) -> None:
    async with scene() as here:
        signed_at = datetime.now(UTC)
        calendar().step(ahead)
        assert await deliver(here, signed_at) == status


@in_virtual_time
async def test_a_clock_set_back_an_hour_does_not_keep_the_circuit_open() -> None:
    async with scene() as here:
        here.clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401, times=1))
        stranger = here.stranger()
        assert (await here.ask(stranger)).status == 503
        token = here.clerk.session_token(stranger, **by_our_clock(here, -AN_HOUR))
        calendar().step(-AN_HOUR)
        await asyncio.sleep(5)
        assert (await here.ask(stranger, token)).status == 200


@in_virtual_time
async def test_a_clock_set_back_an_hour_does_not_keep_the_keys_from_being_fetched() -> None:
    async with scene() as here:
        known = await here.known()
        calendar().step(-AN_HOUR)
        here.clerk.keys.rotate()
        await asyncio.sleep(30)
        token = here.clerk.session_token(known, **by_our_clock(here, -AN_HOUR))
        assert (await here.ask(known, token)).status == 200


@in_virtual_time
async def test_a_clock_set_back_an_hour_does_not_prolong_a_remembered_404() -> None:
    async with scene() as here:
        nobody = "user_nobody"
        assert (await here.ask(nobody)).code == "user_unknown"
        calendar().step(-AN_HOUR)
        await asyncio.sleep(5)
        await here.ask(nobody, here.clerk.session_token(nobody, **by_our_clock(here, -AN_HOUR)))
        assert here.fetches == 2


@pytest.mark.parametrize("ahead", [AN_HOUR, -AN_HOUR])
@in_virtual_time
async def test_our_clock_never_takes_part_in_a_version(ahead: int) -> None:
    """With a clock an hour off, users are still synced as they are at Clerk."""
    async with scene() as here:
        user_id = here.stranger()
        calendar().step(ahead)
        token = here.clerk.session_token(user_id, **by_our_clock(here, ahead))
        assert (await here.ask(user_id, token)).status == 200
        assert here.differences() == {}
        here.clerk.update_user(user_id, first_name="Grace")
        await here.operator.reconcile()
        assert here.differences() == {}


async def deliver(here: Scene, signed_at: datetime) -> int:
    """A good delivery, signed at that moment; the status of the answer."""
    user = here.clerk.get_user(here.stranger())
    told_of = event(
        "user.updated", user, instance_id=INSTANCE, timestamp=round(signed_at.timestamp() * 1000)
    )
    request = httpx.Request("POST", WEBHOOKS, json=told_of)
    secret = here.clerk.config.webhook_secrets[0]
    request.headers.update(
        svix_headers(secret, request.content, svix_id=f"msg_{uuid4().hex}", when=signed_at)
    )
    return (await here.replica.answer(request)).status_code


def by_our_clock(here: Scene, ahead: int) -> dict[str, Any]:
    """The times of a token that a clock so many seconds ahead takes for a new one."""
    now = here.clerk.clock() // 1000 + ahead
    return {"iat": now, "nbf": now - 10, "exp": now + LIFETIME + AN_HOUR}

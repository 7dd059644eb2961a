"""Clerk's signing keys: every failure of any length, rotation, and made-up ids."""

import asyncio
from collections.abc import Mapping
from io import StringIO
from typing import Any

import httpx
import orjson
import pytest

from adapters.clerk.http import HttpClient
from adapters.clerk.prove.signing_keys import JwksKeys
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.sessions import new_signing_key
from service.jobs import keep_signing_keys
from service.log import line_logger
from tests.adapters.clerk.tokens import jwk, under_kid
from tests.simulation.instance import INSTANCE, signing_key
from tests.simulation.scene import Scene, scene
from tests.simulation.virtual_time import in_virtual_time

MINUTE = 60
FRESH_FOR = 5 * MINUTE
STALE_FOR = 60 * MINUTE
COOLDOWN = 30
LOGGED_IN_EVERY = 20
FETCH = "/.well-known/jwks.json"

OUTAGES = {
    "500": ApiFault(kind=FaultKind.ERROR, status=500, on="jwks"),
    "503": ApiFault(kind=FaultKind.ERROR, status=503, on="jwks"),
    "404": ApiFault(kind=FaultKind.ERROR, status=404, on="jwks"),
    "429": ApiFault(kind=FaultKind.RATE_LIMIT, retry_after="3600", on="jwks"),
    "silent": ApiFault(kind=FaultKind.HOLD, on="jwks"),
    "slow": ApiFault(kind=FaultKind.SLOW, seconds=5, on="jwks"),
    "dripping": ApiFault(kind=FaultKind.DRIP, seconds=8, on="jwks"),
    "a page": ApiFault(kind=FaultKind.HTML, status=200, on="jwks"),
    "cut off": ApiFault(kind=FaultKind.TRUNCATED, on="jwks"),
    "no keys": ApiFault(kind=FaultKind.RAW, status=200, body='{"keys": []}', on="jwks"),
    "a broken key": ApiFault(
        kind=FaultKind.RAW,
        status=200,
        body=f'{{"keys": [{{"kty": "RSA", "kid": "{INSTANCE}", "n": "!", "e": "AQAB"}}]}}',
        on="jwks",
    ),
    "elsewhere": ApiFault(kind=FaultKind.REDIRECT, on="jwks"),
    "two megabytes": ApiFault(kind=FaultKind.HUGE, size=2_000_000, on="jwks"),
    "compressed": ApiFault(kind=FaultKind.GZIP_BOMB, size=2_000_000, on="jwks"),
}


@pytest.mark.parametrize("outage", OUTAGES)
@in_virtual_time
async def test_ten_minutes_without_keys_log_no_user_out_and_delay_no_request(outage: str) -> None:
    async with scene() as here:
        known = await here.known()
        here.clerk.faults.add(OUTAGES[outage])
        for _ in range(0, 10 * MINUTE, LOGGED_IN_EVERY):
            told = await here.ask(known)
            assert (told.status, told.seconds) == (200, 0.0)
            await asyncio.sleep(LOGGED_IN_EVERY)
        assert fetches(here) <= (10 * MINUTE - FRESH_FOR) / COOLDOWN + 1


@in_virtual_time
async def test_after_an_hour_without_keys_tokens_are_503_until_the_keys_are_back() -> None:
    async with scene() as here:
        known = await here.known()
        here.clerk.faults.add(OUTAGES["503"])
        await asyncio.sleep(STALE_FOR - 1)
        assert (await here.ask(known)).status == 200
        await asyncio.sleep(COOLDOWN + 2)
        told = await here.ask(known)
        assert (told.status, told.code) == (503, "signing_keys_unavailable")
        here.clerk.faults.clear()
        await asyncio.sleep(1)
        assert (await here.ask(known)).status == 200


@pytest.mark.parametrize("outage", OUTAGES)
@in_virtual_time
async def test_started_without_keys_it_answers_in_time_and_serves_when_they_come(
    outage: str,
) -> None:
    async with scene() as here:
        known = await here.known()
        here.clerk.faults.add(OUTAGES[outage])
        here.replica.kill()
        await asyncio.sleep(1)
        told = await here.ask(known)
        assert (told.status, told.code) == (503, "signing_keys_unavailable")
        assert told.seconds <= 2.0
        here.clerk.faults.clear()
        await asyncio.sleep(1)
        assert (await here.ask(known)).status == 200


@in_virtual_time
async def test_started_with_keys_that_come_slowly_it_waits_for_them() -> None:
    async with scene() as here:
        known = await here.known()
        here.clerk.faults.add(ApiFault(kind=FaultKind.SLOW, seconds=1.5, on="jwks"))
        here.replica.kill()
        await asyncio.sleep(1)
        told = await here.ask(known)
        assert (told.status, told.seconds <= 1.5) == (200, True)


@in_virtual_time
async def test_made_up_key_names_cost_one_fetch_per_cooldown_and_known_users_no_time() -> None:
    async with scene() as here:
        known = await here.known()
        token = here.clerk.session_token(known)
        here.clerk.faults.add(OUTAGES["slow"])
        await asyncio.sleep(COOLDOWN)
        made_up = [under_kid(token, f"ins_{number}") for number in range(300)]
        strangers = asyncio.gather(*(here.ask(known, one) for one in made_up))
        await asyncio.sleep(0.1)
        assert (await here.ask(known)).seconds == 0.0
        assert {told.status for told in await strangers} == {401}
        assert fetches(here) == 1
        await asyncio.sleep(COOLDOWN)
        await here.ask(known, made_up[0])
        assert fetches(here) == 2


@in_virtual_time
async def test_a_rotated_key_with_the_same_id_costs_one_fetch_and_logs_no_user_out() -> None:
    async with scene() as here:
        known = await here.known()
        await asyncio.sleep(COOLDOWN)
        here.clerk.keys.rotate()
        told = await here.ask_all([known] * 20)
        assert {one.status for one in told} == {200}
        assert fetches(here) == 1


@in_virtual_time
async def test_a_new_key_under_a_new_name_is_found_with_one_fetch() -> None:
    async with scene() as here:
        known = await here.known()
        await asyncio.sleep(COOLDOWN)
        here.clerk.keys.rotate(kid="ins_new")
        told = await here.ask_all([known] * 20)
        assert {one.status for one in told} == {200}
        assert fetches(here) == 1


@pytest.mark.parametrize("new_name", [None, "ins_new"])
@in_virtual_time
async def test_a_key_that_was_withdrawn_proves_nothing_once_ours_are_refreshed(
    new_name: str | None,
) -> None:
    async with scene() as here:
        known = await here.known()
        stolen = here.clerk.session_token(known, exp=far_future(here))
        assert (await here.ask(known, stolen)).status == 200
        here.clerk.keys.rotate(kid=new_name)
        await asyncio.sleep(FRESH_FOR + 1)
        # The first request finds the keys stale, and refreshes them. The set shares no key with the
        # last one, so it is doubted until the next fetch, which a later request causes: a token
        # that was proven is remembered for a minute.
        for _ in range(5):
            await here.ask(known, stolen)
            await asyncio.sleep(COOLDOWN + 1)
        assert (await here.ask(known, stolen)).status == 401


@pytest.mark.parametrize("first", ["the old one", "the new one"])
@in_virtual_time
async def test_of_two_keys_under_one_name_the_later_counts(first: str) -> None:
    async with scene() as here:
        known = await here.known()
        here.clerk.keys.rotate()
        keys = [jwk(signing_key(), INSTANCE), jwk(here.clerk.keys.private_key, INSTANCE)]
        published = keys if first == "the old one" else keys[::-1]
        here.clerk.faults.add(answering({"keys": published}))
        await asyncio.sleep(COOLDOWN)
        assert (await here.ask(known)).status == (200 if first == "the old one" else 401)


@in_virtual_time
async def test_one_broken_key_in_the_set_does_not_spoil_the_others() -> None:
    async with scene() as here:
        known = await here.known()
        new = new_signing_key()
        broken = {"kty": "RSA", "kid": "ins_broken", "n": "!", "e": "AQAB"}
        here.clerk.keys.private_key = new
        here.clerk.faults.add(answering({"keys": [broken, jwk(new, INSTANCE)]}))
        await asyncio.sleep(COOLDOWN)
        assert (await here.ask(known)).status == 200


def fetches(here: Scene) -> int:
    """How often the keys were asked for."""
    return here.asked.count(FETCH)


def answering(document: Mapping[str, Any]) -> ApiFault:
    return ApiFault(kind=FaultKind.RAW, status=200, body=orjson.dumps(document).decode(), on="jwks")


def far_future(here: Scene) -> int:
    """Twelve hours from now, in seconds."""
    return here.clerk.clock() // 1000 + 12 * 3600


@in_virtual_time
async def test_a_replica_that_sees_no_token_for_a_day_still_has_keys() -> None:
    async with scene() as here:
        keys = JwksKeys(
            HttpClient(transport=httpx.ASGITransport(here.clerk.app)),
            here.clerk.config.jwks_url,
            clock=asyncio.get_running_loop().time,
        )
        keeping = asyncio.create_task(
            keep_signing_keys(keys, line_logger("info", "json", StringIO()))
        )
        await asyncio.sleep(1)
        oldest = 0.0
        for _ in range(24 * 60):
            await asyncio.sleep(MINUTE)
            oldest = max(oldest, keys.age)
        assert oldest <= FRESH_FOR
        keeping.cancel()

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.http import HttpClient
from adapters.clerk.prove.signing_keys import JwksKeys
from domain.errors import SigningKeysUnavailable
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply, json_reply
from tests.adapters.clerk.key_sets import OUTAGES, confirmed, is_asked, unknown, waits_a_second
from tests.adapters.clerk.payloads import INSTANCE
from tests.adapters.clerk.tokens import jwk


@pytest.fixture
async def complaints() -> AsyncIterator[list[Any]]:
    """The event loop's reports of errors that were never retrieved."""
    complaints: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield complaints
    loop.set_exception_handler(None)


class TestLoading:
    async def test_brings_the_keys(
        self, keys: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        assert keys.loaded
        assert await keys.key(INSTANCE) == private_key.public_key()
        [asked] = clerk.asked
        assert asked.path == "/.well-known/jwks.json"
        assert asked.headers["user-agent"] == "clerk-user-sync"

    async def test_happens_at_the_first_need(
        self, unloaded: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(private_key)]})
        assert not unloaded.loaded
        assert await unloaded.key(INSTANCE)
        assert unloaded.loaded

    async def test_happens_once_for_all_waiting_callers(
        self, unloaded: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(private_key)]}, after=0.05)
        await asyncio.gather(*(unloaded.key(INSTANCE) for _ in range(100)))
        assert len(clerk.asked) == 1

    @waits_a_second
    @pytest.mark.parametrize("outage", OUTAGES)
    async def test_that_fails_leaves_tokens_undecided(
        self, unloaded: JwksKeys, clerk: HttpServer, outage: Reply, complaints: list[Any]
    ) -> None:
        clerk.reply = outage
        await unloaded.load()
        assert not unloaded.loaded
        with pytest.raises(SigningKeysUnavailable) as caught:
            await unloaded.key(INSTANCE)
        assert caught.value.retry_after == 1.0
        assert complaints == []

    async def test_takes_no_keys_from_an_error(
        self, unloaded: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(private_key)]}, status=500)
        await unloaded.load()
        assert not unloaded.loaded

    async def test_that_fails_is_tried_again_after_a_second(
        self, unloaded: JwksKeys, clerk: HttpServer, clock: Clock, private_key: RSAPrivateKey
    ) -> None:
        clerk.replies(Reply(status=500), then=json_reply({"keys": [jwk(private_key)]}))
        await unloaded.load()
        for _ in range(10):
            with pytest.raises(SigningKeysUnavailable):
                await unloaded.key(INSTANCE)
        assert len(clerk.asked) == 1
        clock.pass_seconds(1)
        assert await unloaded.key(INSTANCE)

    @pytest.mark.parametrize(("excess", "loaded"), [(0, True), (1, False)])
    async def test_takes_up_to_64_kibibytes(
        self,
        unloaded: JwksKeys,
        clerk: HttpServer,
        private_key: RSAPrivateKey,
        excess: int,
        loaded: bool,
    ) -> None:
        small = json_reply({"keys": [jwk(private_key)]})
        clerk.reply = replace(small, body=small.body.ljust(64 * 1024 + excess))
        await unloaded.load()
        assert unloaded.loaded == loaded

    async def test_takes_up_to_64_keys(
        self, unloaded: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(private_key, f"ins_{n}") for n in range(65)]})
        assert await unloaded.key("ins_63")
        assert await unknown(unloaded, "ins_64")

    @waits_a_second
    async def test_is_bounded_in_time_however_slow_the_bytes(
        self, unloaded: JwksKeys, clerk: HttpServer
    ) -> None:
        clerk.reply = Reply(body=b" " * 1000, drip=0.02)
        started = time.monotonic()
        await unloaded.load()
        assert time.monotonic() - started < 10

    async def test_that_one_caller_gives_up_goes_on_for_the_others(
        self, unloaded: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        answer = asyncio.Event()
        clerk.reply = json_reply({"keys": [jwk(private_key)]}, let=answer)
        patient = asyncio.create_task(unloaded.key(INSTANCE))
        impatient = asyncio.create_task(unloaded.key(INSTANCE))
        await is_asked(clerk)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        answer.set()
        assert await patient == private_key.public_key()

    async def test_can_be_ended(self, unloaded: JwksKeys, clerk: HttpServer) -> None:
        clerk.reply = Reply(silent=True)
        waiting = asyncio.create_task(unloaded.key(INSTANCE))
        await is_asked(clerk)
        await unloaded.close()
        assert unloaded._in_flight is None
        with pytest.raises(SigningKeysUnavailable):
            await waiting

    async def test_is_ended_at_once_and_not_when_its_time_is_up(
        self, clerk: HttpServer, client: HttpClient
    ) -> None:
        clerk.reply = Reply(silent=True)
        keys = JwksKeys(client, f"{clerk.url}/.well-known/jwks.json", deadline=60)
        loading = asyncio.create_task(keys.load())
        await is_asked(clerk)
        async with asyncio.timeout(30):
            await keys.close()
            await loading


class TestUnknownKid:
    async def test_is_refused_after_one_fetch_per_cooldown(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        for passed, fetches in ((30, 2), (29, 2), (1, 3)):
            clock.pass_seconds(passed)
            for number in range(4_000):
                assert await unknown(keys, f"ins_{number}")
            assert len(clerk.asked) == fetches

    async def test_right_after_loading_causes_none(self, keys: JwksKeys, clerk: HttpServer) -> None:
        assert await unknown(keys)
        assert len(clerk.asked) == 1

    async def test_at_once_by_the_thousand_causes_one(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        clock.pass_seconds(30)
        await asyncio.gather(*(unknown(keys, f"ins_{number}") for number in range(1_000)))
        assert len(clerk.asked) == 2

    @waits_a_second
    async def test_never_delays_a_known_one(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        clerk.reply = Reply(silent=True)
        clock.pass_seconds(30)
        attack = [asyncio.create_task(unknown(keys, f"ins_{number}")) for number in range(100)]
        await asyncio.sleep(0)
        assert await keys.key(INSTANCE)
        assert not any(task.done() for task in attack)
        await asyncio.gather(*attack)

    async def test_that_is_new_at_clerk_is_found(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        other_private_key: RSAPrivateKey,
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(private_key), jwk(other_private_key, "ins_new")]})
        clock.pass_seconds(30)
        assert await keys.key("ins_new") == other_private_key.public_key()
        assert len(clerk.asked) == 2

    async def test_that_is_gone_at_clerk_is_refused(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock, other_private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(other_private_key, "ins_new")]})
        clock.pass_seconds(301)
        await keys.key(INSTANCE)
        await keys.load()
        await confirmed(keys, clock)
        assert await unknown(keys, INSTANCE)

    async def test_that_is_missing_causes_no_fetch(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        clock.pass_seconds(30)
        assert await unknown(keys, None)
        assert len(clerk.asked) == 1

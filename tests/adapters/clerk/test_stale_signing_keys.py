"""Signing keys of some minutes ago: when they are fetched again, and how long they count."""

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.prove.signing_keys import JwksKeys
from domain.errors import SigningKeysUnavailable
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply, json_reply
from tests.adapters.clerk.key_sets import OUTAGES, confirmed, waits_a_second
from tests.adapters.clerk.payloads import INSTANCE
from tests.adapters.clerk.tokens import jwk


class TestFreshKeys:
    async def test_cause_no_fetch(self, keys: JwksKeys, clerk: HttpServer, clock: Clock) -> None:
        clock.pass_seconds(300)
        await keys.key(INSTANCE)
        assert keys._in_flight is None
        assert len(clerk.asked) == 1


class TestStaleKeys:
    """`load` joins the fetch in the background, and starts none within the cooldown."""

    @waits_a_second
    async def test_are_served_at_once_while_one_fetch_runs(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock, private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = Reply(silent=True)
        clock.pass_seconds(301)
        for _ in range(100):
            assert await keys.key(INSTANCE) == private_key.public_key()
        assert keys._in_flight is not None
        assert not keys._in_flight.done()
        await keys.load()
        assert len(clerk.asked) == 2

    async def test_are_replaced(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        other_private_key: RSAPrivateKey,
    ) -> None:
        version = keys.version
        clerk.reply = json_reply({"keys": [jwk(other_private_key)]})
        clock.pass_seconds(301)
        await keys.key(INSTANCE)
        await keys.load()
        await confirmed(keys, clock)
        assert await keys.key(INSTANCE) == other_private_key.public_key()
        assert keys.version != version

    async def test_that_came_again_are_no_new_version(self, keys: JwksKeys, clock: Clock) -> None:
        version = keys.version
        clock.pass_seconds(301)
        await keys.key(INSTANCE)
        await keys.load()
        assert keys.version == version

    @waits_a_second
    @pytest.mark.parametrize("outage", OUTAGES)
    async def test_outlive_an_outage(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        outage: Reply,
    ) -> None:
        clerk.reply = outage
        clock.pass_seconds(301)
        await keys.key(INSTANCE)
        await keys.load()
        assert await keys.key(INSTANCE) == private_key.public_key()

    async def test_are_asked_for_once_per_cooldown_in_an_outage(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        clerk.reply = Reply(status=500)
        clock.pass_seconds(301)
        for passed, fetches in ((0, 2), (29, 2), (1, 3)):
            clock.pass_seconds(passed)
            for _ in range(50):
                await keys.key(INSTANCE)
            await keys.load()
            assert len(clerk.asked) == fetches

    async def test_of_an_hour_are_used_no_more(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        clerk.reply = Reply(status=500)
        clock.pass_seconds(3600)
        assert keys.loaded
        await keys.key(INSTANCE)
        await keys.load()
        clock.pass_seconds(1)
        assert not keys.loaded
        with pytest.raises(SigningKeysUnavailable):
            await keys.key(INSTANCE)

    async def test_of_an_hour_say_when_they_will_be_asked_for_again(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock
    ) -> None:
        clerk.reply = Reply(status=500)
        clock.pass_seconds(3600)
        await keys.key(INSTANCE)
        await keys.load()
        clock.pass_seconds(1)
        with pytest.raises(SigningKeysUnavailable) as caught:
            await keys.key(INSTANCE)
        assert caught.value.retry_after == 29

    async def test_of_an_hour_come_back_after_the_outage(
        self, keys: JwksKeys, clock: Clock, private_key: RSAPrivateKey
    ) -> None:
        clock.pass_seconds(3601)
        assert await keys.key(INSTANCE) == private_key.public_key()

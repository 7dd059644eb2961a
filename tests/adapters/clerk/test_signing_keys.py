import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys
from domain.errors import InvalidSession, SigningKeysUnavailable
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply, json_reply
from tests.adapters.clerk.payloads import INSTANCE
from tests.adapters.clerk.tokens import HEADER, ISSUER, claims, header, jwk, rs256
from tests.e2e.processes import eventually

OUTAGES = [
    Reply(status=500),
    Reply(status=404),
    Reply(status=302, headers={"Location": "http://169.254.169.254/"}),
    Reply(body=b"<html>"),
    Reply(body=b""),
    Reply(silent=True),
    json_reply({"keys": []}),
    json_reply({"keys": [{"kty": "RSA", "kid": INSTANCE, "n": "!", "e": "AQAB"}]}),
    json_reply([]),
    Reply(body=b" " * 100_000),
    Reply(body=b"x", headers={"Content-Encoding": "gzip"}),
    Reply(body=b"x", length=9),
]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def deadline() -> float:
    """Seconds: more than a busy machine needs for an answer. For no answer, see `waits_a_second`."""
    return 10.0


waits_a_second = pytest.mark.parametrize("deadline", [1.0])


@pytest.fixture
async def keys(
    clerk: HttpServer,
    client: httpx.AsyncClient,
    clock: Clock,
    deadline: float,
    private_key: RSAPrivateKey,
) -> AsyncIterator[JwksKeys]:
    """Loaded with the instance's key."""
    keys = jwks(clerk, client, clock, deadline)
    clerk.reply = json_reply({"keys": [jwk(private_key)]})
    await keys.load()
    yield keys
    await keys.close()


@pytest.fixture
async def unloaded(
    clerk: HttpServer, client: httpx.AsyncClient, clock: Clock, deadline: float
) -> AsyncIterator[JwksKeys]:
    keys = jwks(clerk, client, clock, deadline)
    yield keys
    await keys.close()


@pytest.fixture
async def complaints() -> AsyncIterator[list[Any]]:
    """The event loop's reports of errors that were never retrieved."""
    complaints: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield complaints
    loop.set_exception_handler(None)


def jwks(clerk: HttpServer, client: httpx.AsyncClient, clock: Clock, deadline: float) -> JwksKeys:
    url = f"{clerk.url}/.well-known/jwks.json"
    return JwksKeys(client, url, deadline=deadline, clock=clock)


async def is_asked(clerk: HttpServer) -> None:
    await eventually(lambda: len(clerk.asked) > 0)


async def unknown(keys: JwksKeys, kid: str | None = "ins_unknown") -> bool:
    with pytest.raises(InvalidSession):
        await keys.key(kid)
    return True


async def confirmed(keys: JwksKeys, clock: Clock) -> None:
    """The next fetch brings the same set again."""
    assert keys.in_doubt
    clock.pass_seconds(30)
    await keys.load()
    assert not keys.in_doubt


class TestDoubt:
    """A set that shares no key with the last one may be wrong."""

    @pytest.fixture
    def theirs(self, other_private_key: RSAPrivateKey) -> Reply:
        """One answer with the keys of somebody else."""
        return json_reply({"keys": [jwk(other_private_key)]})

    async def test_one_wrong_answer_logs_nobody_out(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        theirs: Reply,
    ) -> None:
        clerk.replies(theirs)
        clock.pass_seconds(30)
        await keys.load()
        assert keys.in_doubt
        assert await keys.key(INSTANCE) == private_key.public_key()
        version = keys.version
        clock.pass_seconds(30)
        await keys.load()
        assert not keys.in_doubt
        ours = private_key.public_key()
        assert await keys.key(INSTANCE) == ours
        assert await keys.refreshed_key(INSTANCE, ours) is None
        assert keys.version > version, "what the other key proved is forgotten"

    async def test_meanwhile_both_keys_are_good(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        theirs: Reply,
    ) -> None:
        clerk.reply = theirs
        clock.pass_seconds(30)
        new = await keys.refreshed_key(INSTANCE, private_key.public_key())
        assert new not in (None, private_key.public_key())
        assert await keys.key(INSTANCE) == private_key.public_key()
        asked = len(clerk.asked)
        assert await keys.refreshed_key(INSTANCE, private_key.public_key()) == new
        assert len(clerk.asked) == asked

    async def test_a_set_with_a_known_key_is_believed_at_once(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        other_private_key: RSAPrivateKey,
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(private_key), jwk(other_private_key, "ins_new")]})
        clock.pass_seconds(30)
        await keys.load()
        assert not keys.in_doubt
        clerk.reply = json_reply({"keys": [jwk(other_private_key, "ins_new")]})
        clock.pass_seconds(30)
        await keys.load()
        assert not keys.in_doubt
        assert await unknown(keys, INSTANCE)

    async def test_an_outage_neither_confirms_nor_refutes(
        self, keys: JwksKeys, clerk: HttpServer, clock: Clock, theirs: Reply
    ) -> None:
        clerk.replies(theirs, Reply(status=500))
        for _ in range(2):
            clock.pass_seconds(30)
            await keys.load()
            assert keys.in_doubt


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
        self, clerk: HttpServer, client: httpx.AsyncClient
    ) -> None:
        clerk.reply = Reply(silent=True)
        keys = JwksKeys(client, f"{clerk.url}/.well-known/jwks.json", deadline=60)
        loading = asyncio.create_task(keys.load())
        await is_asked(clerk)
        async with asyncio.timeout(30):
            await keys.close()
            await loading


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


class TestRotation:
    """Clerk's `kid` is the instance id, and stays when the key changes."""

    @pytest.fixture
    def verifier(self, keys: JwksKeys) -> ClerkSessionVerifier:
        return ClerkSessionVerifier(
            keys,
            issuer=ISSUER,
            authorized_parties=frozenset(),
            allow_missing_azp=False,
            audience=None,
        )

    async def test_is_noticed_by_the_first_signature_that_does_not_match(
        self,
        verifier: ClerkSessionVerifier,
        clerk: HttpServer,
        clock: Clock,
        other_private_key: RSAPrivateKey,
    ) -> None:
        clerk.reply = json_reply({"keys": [jwk(other_private_key)]})
        clock.pass_seconds(30)
        assert await verifier.verify(token_of_now(other_private_key))
        assert len(clerk.asked) == 2

    async def test_makes_tokens_of_the_old_key_worthless(  # noqa: PLR0917
        self,
        verifier: ClerkSessionVerifier,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        other_private_key: RSAPrivateKey,
    ) -> None:
        old = token_of_now(private_key)
        await verifier.verify(old)
        clerk.reply = json_reply({"keys": [jwk(other_private_key)]})
        clock.pass_seconds(30)
        await verifier.verify(token_of_now(other_private_key))
        await confirmed(keys, clock)
        with pytest.raises(InvalidSession):
            await verifier.verify(old)

    async def test_feigned_by_bad_signatures_causes_one_fetch_per_cooldown(
        self,
        verifier: ClerkSessionVerifier,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        other_private_key: RSAPrivateKey,
    ) -> None:
        clock.pass_seconds(30)
        for _ in range(20):
            with pytest.raises(InvalidSession):
                await verifier.verify(token_of_now(other_private_key))
        assert len(clerk.asked) == 2
        assert await verifier.verify(token_of_now(private_key))

    async def test_already_noticed_causes_no_further_fetch(
        self,
        keys: JwksKeys,
        clerk: HttpServer,
        clock: Clock,
        private_key: RSAPrivateKey,
        other_private_key: RSAPrivateKey,
    ) -> None:
        clock.pass_seconds(30)
        newer = await keys.refreshed_key(INSTANCE, other_private_key.public_key())
        assert newer == private_key.public_key()
        assert len(clerk.asked) == 1

    async def test_that_did_not_happen_gives_no_other_key(
        self, keys: JwksKeys, clock: Clock, private_key: RSAPrivateKey
    ) -> None:
        clock.pass_seconds(30)
        assert await keys.refreshed_key(INSTANCE, private_key.public_key()) is None

    @pytest.mark.parametrize(
        "kid", [5, [], None, {}, "../../etc/passwd", "a\r\nb", "k" * 5_000, "ins_other", "\x00"]
    )
    async def test_does_not_depend_on_a_kid_of_another_type(
        self, verifier: ClerkSessionVerifier, private_key: RSAPrivateKey, kid: Any
    ) -> None:
        with pytest.raises(InvalidSession):
            await verifier.verify(rs256(private_key, header(kid=kid), now_claims()))

    async def test_ignores_key_addresses_in_the_token(
        self, verifier: ClerkSessionVerifier, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        async with HttpServer().running() as elsewhere:
            pointing = header(jku=elsewhere.url, x5u=elsewhere.url, jwk=jwk(private_key))
            assert await verifier.verify(rs256(private_key, pointing, now_claims()))
            assert elsewhere.asked == []
        assert len(clerk.asked) == 1

    async def test_without_keys_leaves_a_token_undecided(
        self, unloaded: JwksKeys, clerk: HttpServer, private_key: RSAPrivateKey
    ) -> None:
        clerk.reply = Reply(status=500)
        verifier = ClerkSessionVerifier(
            unloaded,
            issuer=ISSUER,
            authorized_parties=frozenset(),
            allow_missing_azp=False,
            audience=None,
        )
        with pytest.raises(SigningKeysUnavailable):
            await verifier.verify(token_of_now(private_key))


def now_claims() -> dict[str, Any]:
    now = int(time.time())
    return claims(iat=now, nbf=now - 10, exp=now + 60)


def token_of_now(key: RSAPrivateKey) -> str:
    return rs256(key, HEADER, now_claims())

"""A key that Clerk replaces, and a set of keys that may be wrong."""

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import JwksKeys
from domain.errors import InvalidSession, SigningKeysUnavailable
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply, json_reply
from tests.adapters.clerk.key_sets import confirmed, unknown
from tests.adapters.clerk.payloads import INSTANCE
from tests.adapters.clerk.tokens import HEADER, claims, header, jwk, rs256
from tests.adapters.clerk.verifiers import verifier_of


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


class TestRotation:
    """Clerk's `kid` is the instance id, and stays when the key changes."""

    @pytest.fixture
    def verifier(self, keys: JwksKeys) -> ClerkSessionVerifier:
        return verifier_of(keys)

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
        verifier = verifier_of(unloaded)
        with pytest.raises(SigningKeysUnavailable):
            await verifier.verify(token_of_now(private_key))


def now_claims() -> dict[str, Any]:
    now = int(time.time())
    return claims(iat=now, nbf=now - 10, exp=now + 60)


def token_of_now(key: RSAPrivateKey) -> str:
    return rs256(key, HEADER, now_claims())

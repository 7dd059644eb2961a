"""Verified tokens are remembered until they expire or the keys change."""

from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import PinnedKey
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.tokens import (
    NOW,
    pem,
    session_token,
    token_with_header,
)
from tests.adapters.clerk.verifiers import refused, verifier_of

pytestmark = pytest.mark.usefixtures("now")


class CountingKeys(PinnedKey):
    """A pinned key that counts how often it is asked for."""

    def __init__(self, pem: str) -> None:
        super().__init__(pem)
        self.asked = 0
        self.rotations = 0

    @property
    def version(self) -> int:
        return self.rotations

    async def key(self, unverified_kid: str | None) -> RSAPublicKey:
        self.asked += 1
        return await super().key(unverified_kid)


class TestMemory:
    @pytest.fixture
    def keys(self, private_key: RSAPrivateKey) -> CountingKeys:
        return CountingKeys(pem(private_key))

    @pytest.fixture
    def verifier(self, keys: CountingKeys) -> ClerkSessionVerifier:
        return verifier_of(keys)

    async def test_spares_a_token_its_second_proof(
        self, verifier: ClerkSessionVerifier, keys: CountingKeys, private_key: RSAPrivateKey
    ) -> None:
        token = session_token(private_key)
        assert await verifier.verify(token) == await verifier.verify(token)
        assert keys.asked == 1

    @pytest.mark.parametrize(("passed", "still_good"), [(64, True), (65, False), (66, False)])
    async def test_does_not_outlive_the_token(
        self,
        verifier: ClerkSessionVerifier,
        private_key: RSAPrivateKey,
        now: time_machine.Traveller,
        passed: int,
        still_good: bool,
    ) -> None:
        token = session_token(private_key)
        await verifier.verify(token)
        now.move_to(NOW + passed)
        if still_good:
            assert await verifier.verify(token)
        else:
            assert await refused(verifier, token)

    async def test_lasts_a_minute_by_its_clock(
        self, keys: CountingKeys, private_key: RSAPrivateKey
    ) -> None:
        clock = Clock()
        verifier = verifier_of(keys, clock=clock)
        token = session_token(private_key)
        for passed, asked in ((0, 1), (59.5, 1), (0.5, 2)):
            clock.pass_seconds(passed)
            await verifier.verify(token)
            assert keys.asked == asked

    async def test_does_not_outlive_the_keys(
        self, verifier: ClerkSessionVerifier, keys: CountingKeys, private_key: RSAPrivateKey
    ) -> None:
        token = session_token(private_key)
        await verifier.verify(token)
        keys.rotations += 1
        await verifier.verify(token)
        assert keys.asked == 2

    @pytest.mark.parametrize(
        "changes",
        [
            {"alg": "RS512"},
            {"alg": "HS256"},
            {"typ": "at+jwt"},
            {"cat": "cl_B7d4PD222AAA"},
            {"crit": ["exp"]},
            {"kid": 5},
            {"kid": ["ins_a"]},
        ],
    )
    async def test_and_keys_are_not_troubled_with_other_kinds_of_token(
        self,
        verifier: ClerkSessionVerifier,
        keys: CountingKeys,
        private_key: RSAPrivateKey,
        changes: dict[str, Any],
    ) -> None:
        assert await refused(verifier, token_with_header(private_key, **changes))
        assert keys.asked == 0

    async def test_keeps_no_refusal(
        self, verifier: ClerkSessionVerifier, keys: CountingKeys, other_private_key: RSAPrivateKey
    ) -> None:
        token = session_token(other_private_key)
        assert await refused(verifier, token)
        assert await refused(verifier, token)
        assert keys.asked == 2

"""Verifiers of session tokens, for tests."""

import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.clerk.prove.sessions import ClerkSessionVerifier
from adapters.clerk.prove.signing_keys import PinnedKey, SigningKeys
from domain.errors import InvalidSession
from tests.adapters.clerk.tokens import (
    ISSUER,
    PARTY,
    pem,
)


def verifier_of(
    keys: RSAPrivateKey | SigningKeys,
    *,
    parties: frozenset[str] = frozenset({PARTY}),
    allow_missing_azp: bool = False,
    audience: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ClerkSessionVerifier:
    return ClerkSessionVerifier(
        PinnedKey(pem(keys)) if isinstance(keys, RSAPrivateKey) else keys,
        issuer=ISSUER,
        authorized_parties=parties,
        allow_missing_azp=allow_missing_azp,
        audience=audience,
        clock=clock,
    )


async def refused(verifier: ClerkSessionVerifier, token: str) -> bool:
    with pytest.raises(InvalidSession):
        await verifier.verify(token)
    return True

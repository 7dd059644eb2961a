"""The Clerk instance of all worlds: what would otherwise be random, or slow to make."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator.sessions import new_signing_key

INSTANCE = f"ins_{0:027}"
"""Part of every picture's address, and so of what decides a tie."""


@cache
def signing_key() -> RSAPrivateKey:
    """To make one takes longer than to live through a world."""
    return new_signing_key()

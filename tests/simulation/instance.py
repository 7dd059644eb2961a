"""The Clerk instance of all worlds: fixed values for what is otherwise random or slow to make."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator.sessions import new_signing_key

INSTANCE = f"ins_{0:027}"
"""Part of every image URL, hence of the contents that decide a tie of versions."""


@cache
def signing_key() -> RSAPrivateKey:
    """One key for all worlds: generating a key takes longer than simulating a world."""
    return new_signing_key()

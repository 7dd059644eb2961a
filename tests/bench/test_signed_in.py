"""The sessions of the benchmark's requests."""

import time

import jwt

from bench.signed_in import signed_in_everywhere
from scripts.clerk_emulator import ClerkEmulator

HOUR = 3600


def test_sessions_outlast_a_run_of_many_hours(clerk: ClerkEmulator) -> None:
    clerk.create_users(1)
    token = signed_in_everywhere(clerk, users=10).tokens[0]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["exp"] > time.time() + 12 * HOUR

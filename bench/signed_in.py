"""Users who are signed in, for the requests."""

from collections.abc import Sequence

from bench.arrivals import World, user_id
from scripts.clerk_emulator import ClerkEmulator

EVERYWHERE = 2_000
"""Sessions at every size, of users spread over the table."""

VALID = 24 * 3600
"""Seconds for which a token is valid: longer than a run."""


def signed_in(clerk: ClerkEmulator, people: Sequence[str], users: int) -> World:
    """Sessions of these people. `users` are in the store."""
    until = clerk.clock() // 1000 + VALID
    return World(
        instance_id=clerk.config.instance_id,
        secret=clerk.config.webhook_secrets[0],
        template=clerk.get_user(next(iter(clerk.users)).id),
        tokens=tuple(clerk.session_token(one, exp=until) for one in people),
        users=users,
    )


def signed_in_everywhere(clerk: ClerkEmulator, users: int) -> World:
    people = [user_id(number * users // EVERYWHERE) for number in range(EVERYWHERE)]
    return signed_in(clerk, people, users)

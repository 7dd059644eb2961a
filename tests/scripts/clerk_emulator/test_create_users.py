"""`create_users`: many users at once."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.user import User


@pytest.fixture
def clerk(emulator: ClerkEmulator) -> ClerkEmulator:
    return emulator


def addresses(clerk: ClerkEmulator) -> list[str]:
    return [user.identifications[0].value for user in clerk.users]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_more_users_can_be_created_after_one_was_deleted(clerk: ClerkEmulator, gone: int) -> None:
    clerk.create_users(3)
    clerk.delete_user(list(clerk.users)[gone].id)
    clerk.create_users(3)
    assert len(set(addresses(clerk))) == 5


def test_an_address_that_is_taken_is_skipped(clerk: ClerkEmulator) -> None:
    clerk.create_user(email_address=["User000001@example.com"])
    clerk.create_users(2)
    assert len(set(addresses(clerk))) == 3


@pytest.mark.parametrize("time", [lambda user: user.created_at, lambda user: user.updated_at])
def test_their_times_are_one_second_apart(
    clerk: ClerkEmulator, time: Callable[[User], int]
) -> None:
    clerk.create_users(3)
    times = [time(user) for user in clerk.users]
    assert [later - earlier for earlier, later in pairwise(times)] == [1000] * 2

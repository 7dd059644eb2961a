"""Webhooks that Clerk would send, for the test to deliver itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

from scripts.clerk_emulator import ClerkEmulator


@dataclass(frozen=True, slots=True)
class Message:
    """One webhook. Svix repeats it until it is answered 2xx."""

    svix_id: str
    user_id: str
    body: bytes


def sign_up(clerk: ClerkEmulator) -> Message:
    """`user.created` of a new user."""
    user = clerk.create_user(email_address=[f"{uuid4().hex}@example.com"])
    return _latest(clerk, user["id"])


def update(clerk: ClerkEmulator, user_id: str) -> Message:
    """`user.updated` with another first name."""
    clerk.update_user(user_id, first_name=uuid4().hex)
    return _latest(clerk, user_id)


def deletion(clerk: ClerkEmulator, user_id: str) -> Message:
    """`user.deleted`."""
    clerk.delete_user(user_id)
    return _latest(clerk, user_id)


def lives_of_users(clerk: ClerkEmulator) -> Iterator[Message]:
    """An endless stream: users sign up and change, and every third is deleted."""
    for number in count(1):
        arrival = sign_up(clerk)
        yield arrival
        yield update(clerk, arrival.user_id)
        if number % 3 == 0:
            yield deletion(clerk, arrival.user_id)


def _latest(clerk: ClerkEmulator, user_id: str) -> Message:
    message = next(reversed(clerk.sender.messages.values()))
    return Message(message.svix_id, user_id, message.body.encode())

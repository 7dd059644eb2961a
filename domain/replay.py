"""Replay: deliveries that were verified when they arrived are applied again.

They come from our journal or from a file. Nothing is signed here: an operator who can read either
of them is trusted already. The join makes order and repetition irrelevant.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from domain.errors import Unstorable
from domain.journal import QUARANTINED, JournalEntry, JournalQuery
from domain.ports import DeliveryReader, FrontDoor, Journal, UserRepository
from domain.sync_user import (
    DELETION,
    FollowedDelivery,
    IgnoredDelivery,
    SyncUser,
    UnreadableDelivery,
)
from domain.user import Outcome, UserChange, UserId, join, outcome_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedDelivery:
    """A delivery whose signature was valid when it arrived.

    `known_as` is its outcome in our own journal; None when it comes from a file.
    """

    svix_id: str
    received_at: datetime
    body: bytes
    event_type: str | None = None
    occurred_at: datetime | None = None
    known_as: str | None = None


class Verdict(StrEnum):
    """What a replay can come to besides an `Outcome`."""

    QUARANTINED = QUARANTINED
    IGNORED = "ignored"
    NO_BODY = "no body"
    TO_POST = "to post"
    ACCEPTED = "accepted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The result of one replay. `reason` is in our own words, where there is one."""

    svix_id: str
    verdict: Outcome | Verdict
    reason: str | None = None


async def recorded(
    journal: Journal, query: JournalQuery, reader: DeliveryReader
) -> AsyncIterator[RecordedDelivery | Replayed]:
    """The deliveries that our journal still can replay, oldest first.

    One whose body has been erased or has expired comes as a `Replayed` that says so. A deletion
    needs no body: its entry holds everything. Raises `StorageUnavailable`.
    """
    async for entry in journal.deliveries(query):
        svix_id, body = entry.svix_id or "", _body(entry, reader)
        if body is None:
            yield Replayed(svix_id=svix_id, verdict=Verdict.NO_BODY)
        else:
            yield RecordedDelivery(
                svix_id=svix_id,
                received_at=entry.received_at,
                body=body,
                event_type=entry.event_type,
                occurred_at=entry.occurred_at,
                known_as=entry.outcome,
            )


def _body(entry: JournalEntry, reader: DeliveryReader) -> bytes | None:
    if entry.body is not None:
        return entry.body
    if entry.event_type == DELETION and entry.clerk_id and entry.occurred_at:
        return reader.deletion(entry.clerk_id, entry.occurred_at)
    return None


class ReplayDelivery:
    """Applies one delivery to our own store, in process."""

    def __init__(self, reader: DeliveryReader, users: UserRepository) -> None:
        self._reader = reader
        self._users = users

    async def __call__(self, delivery: RecordedDelivery) -> Replayed:
        """Raises `StorageUnavailable`; repeating is safe."""
        command = _read_again(self._reader, delivery)
        if isinstance(command, Replayed):
            return command
        try:
            result = await self._users.sync(command)
        except Unstorable as error:
            return _unreadable(delivery, f"unstorable: {error}")
        return Replayed(svix_id=delivery.svix_id, verdict=result.outcome)


class RehearseDelivery:
    """Says what a replay would do, and writes nothing.

    It remembers the state that the deliveries before would have left, one for each user.
    """

    def __init__(self, reader: DeliveryReader, users: UserRepository) -> None:
        self._reader = reader
        self._users = users
        self._left: dict[UserId, UserChange] = {}

    async def __call__(self, delivery: RecordedDelivery) -> Replayed:
        """Raises `StorageUnavailable`."""
        command = _read_again(self._reader, delivery)
        if isinstance(command, Replayed):
            return command
        user_id, change = command.change.clerk_id, command.change
        stored = self._left.get(user_id) or await self._users.get(user_id)
        self._left[user_id] = join(stored, change)
        return Replayed(svix_id=delivery.svix_id, verdict=outcome_of(stored, change))


class PostDelivery:
    """Posts one delivery, signed afresh, to another service."""

    def __init__(self, front_door: FrontDoor) -> None:
        self._front_door = front_door

    async def __call__(self, delivery: RecordedDelivery) -> Replayed:
        """Raises `FrontDoorUnavailable`."""
        try:
            status = await self._front_door.post(delivery.svix_id, delivery.body)
        except ValueError:
            return _failed(delivery, "not text, so it cannot be signed")
        if status in _ANSWERS:
            verdict, reason = _ANSWERS[status]
            return Replayed(svix_id=delivery.svix_id, verdict=verdict, reason=reason)
        return _failed(delivery, f"answered {status}")


async def rehearse_post(delivery: RecordedDelivery) -> Replayed:
    """Posts nothing."""
    return Replayed(svix_id=delivery.svix_id, verdict=Verdict.TO_POST)


_ANSWERS = {
    204: (Verdict.ACCEPTED, None),
    202: (Verdict.QUARANTINED, "quarantined there"),
}


def _read_again(reader: DeliveryReader, delivery: RecordedDelivery) -> SyncUser | Replayed:
    read = reader.read(delivery.body, svix_id=delivery.svix_id, sent_at=delivery.received_at)
    match read:
        case FollowedDelivery():
            # With its svix id only where the journal does not know the outcome yet: then a
            # quarantined entry leaves quarantine, and one from a file is journaled. Any other entry
            # stays as it is; if its replay changes a user, that is an entry of its own.
            known = delivery.known_as not in (None, QUARANTINED)
            return replace(read.command, delivery=None) if known else read.command
        case UnreadableDelivery():
            return _unreadable(delivery, read.reason)
        case IgnoredDelivery():
            return Replayed(svix_id=delivery.svix_id, verdict=Verdict.IGNORED, reason=read.reason)
        case _:
            assert_never(read)


def _unreadable(delivery: RecordedDelivery, reason: str) -> Replayed:
    """A quarantined delivery stays in quarantine. Any other one has failed and is not kept."""
    if delivery.known_as != QUARANTINED:
        return _failed(delivery, reason)
    return Replayed(svix_id=delivery.svix_id, verdict=Verdict.QUARANTINED, reason=reason)


def _failed(delivery: RecordedDelivery, reason: str) -> Replayed:
    return Replayed(svix_id=delivery.svix_id, verdict=Verdict.FAILED, reason=reason)

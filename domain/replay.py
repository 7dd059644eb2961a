"""Replay: apply deliveries again that were verified when they arrived.

They come from our journal or from a file, and are not verified again: an operator who can read
either is trusted. The join makes their order and repetitions irrelevant.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from domain.errors import Unstorable
from domain.journal import DISMISSED, QUARANTINED, Journal, JournalEntry, JournalQuery
from domain.ports import DeliveryReader, UserRepository, WebhookEndpoint
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

    `known_as` is its outcome in our journal; None if it comes from a file.
    """

    svix_id: str
    received_at: datetime
    body: bytes
    event_type: str | None = None
    occurred_at: datetime | None = None
    known_as: str | None = None


class Verdict(StrEnum):
    """The results of a replay that are not outcomes of the join."""

    QUARANTINED = QUARANTINED
    IGNORED = "ignored"
    NO_BODY = "no body"
    TO_POST = "to post"
    ACCEPTED = "accepted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The result of one replay. `reason` is our own text, where there is one: of `NO_BODY`, why the
    delivery was quarantined.
    """

    svix_id: str
    verdict: Outcome | Verdict
    reason: str | None = None


async def recorded(
    journal: Journal, query: JournalQuery, reader: DeliveryReader
) -> AsyncIterator[RecordedDelivery | Replayed]:
    """The deliveries of our journal, oldest first.

    A delivery whose body is erased or expired is a `Replayed` with `NO_BODY`. A deletion needs no
    body, for its entry holds all of it. Raises `StorageUnavailable`.
    """
    async for entry in journal.deliveries(query):
        svix_id, body = entry.svix_id or "", _body(entry, reader)
        if body is None:
            yield Replayed(svix_id=svix_id, verdict=Verdict.NO_BODY, reason=entry.error)
        else:
            yield RecordedDelivery(
                svix_id=svix_id,
                received_at=_arrived(entry),
                body=body,
                event_type=entry.event_type,
                occurred_at=entry.occurred_at,
                known_as=entry.outcome,
            )


def _arrived(entry: JournalEntry) -> datetime:
    """When it arrived: what was accepted had happened by then, if the store's clock is behind."""
    if entry.outcome in (QUARANTINED, DISMISSED) or entry.occurred_at is None:
        return entry.received_at
    return max(entry.received_at, entry.occurred_at)


def _body(entry: JournalEntry, reader: DeliveryReader) -> bytes | None:
    if entry.body is not None:
        return entry.body
    if entry.event_type == DELETION and entry.clerk_id and entry.occurred_at:
        return reader.deletion(entry.clerk_id, entry.occurred_at)
    return None


class ReplayDelivery:
    """Applies one delivery to our own store."""

    def __init__(self, reader: DeliveryReader, users: UserRepository) -> None:
        self._reader = reader
        self._users = users

    async def __call__(self, delivery: RecordedDelivery) -> Replayed:
        """Apply it. Raises `StorageUnavailable`; repeating is safe."""
        command = _read_again(self._reader, delivery)
        if isinstance(command, Replayed):
            return command
        try:
            result = await self._users.sync(command)
        except Unstorable as error:
            return _unreadable(delivery, error.reason)
        return Replayed(svix_id=delivery.svix_id, verdict=result.outcome)


class RehearseDelivery:
    """Tells what a replay would do, and writes nothing.

    It remembers, for each user, the state that the earlier deliveries would have left.
    """

    def __init__(self, reader: DeliveryReader, users: UserRepository) -> None:
        self._reader = reader
        self._users = users
        self._left: dict[UserId, UserChange] = {}

    async def __call__(self, delivery: RecordedDelivery) -> Replayed:
        """The result that applying it would have. Raises `StorageUnavailable`."""
        command = _read_again(self._reader, delivery)
        if isinstance(command, Replayed):
            return command
        user_id, change = command.change.clerk_id, command.change
        stored = self._left.get(user_id) or await self._users.get(user_id)
        self._left[user_id] = join(stored, change)
        return Replayed(svix_id=delivery.svix_id, verdict=outcome_of(stored, change))


class PostDelivery:
    """Posts one delivery, with a new signature, to another service."""

    def __init__(self, webhook_endpoint: WebhookEndpoint) -> None:
        self._webhook_endpoint = webhook_endpoint

    async def __call__(self, delivery: RecordedDelivery) -> Replayed:
        """Post it. Raises `EndpointUnavailable`."""
        try:
            status = await self._webhook_endpoint.post(delivery.svix_id, delivery.body)
        except ValueError:
            return _failed(delivery, "not text, so it cannot be signed")
        if status in _ANSWERS:
            verdict, reason = _ANSWERS[status]
            return Replayed(svix_id=delivery.svix_id, verdict=verdict, reason=reason)
        return _failed(delivery, f"answered {status}")


async def rehearse_post(delivery: RecordedDelivery) -> Replayed:
    """Tells that the delivery would be posted, and posts nothing."""
    return Replayed(svix_id=delivery.svix_id, verdict=Verdict.TO_POST)


_ANSWERS = {
    204: (Verdict.ACCEPTED, None),
    202: (Verdict.QUARANTINED, "quarantined there"),
}


def _read_again(reader: DeliveryReader, delivery: RecordedDelivery) -> SyncUser | Replayed:
    read = reader.read(delivery.body, svix_id=delivery.svix_id, sent_at=delivery.received_at)
    match read:
        case FollowedDelivery():
            # An entry that already has an outcome stays as it is: the replay goes without its svix
            # id, and is journaled as a new entry if it changes a user. With its svix id, a
            # quarantined entry leaves quarantine and a delivery from a file is journaled.
            known = delivery.known_as not in (None, QUARANTINED, DISMISSED)
            return replace(read.command, delivery=None) if known else read.command
        case UnreadableDelivery():
            return _unreadable(delivery, read.reason)
        case IgnoredDelivery():
            return Replayed(svix_id=delivery.svix_id, verdict=Verdict.IGNORED, reason=read.reason)
        case _:
            assert_never(read)


def _unreadable(delivery: RecordedDelivery, reason: str) -> Replayed:
    """A quarantined delivery stays in quarantine. Any other has failed, and is not kept."""
    if delivery.known_as != QUARANTINED:
        return _failed(delivery, reason)
    return Replayed(svix_id=delivery.svix_id, verdict=Verdict.QUARANTINED, reason=reason)


def _failed(delivery: RecordedDelivery, reason: str) -> Replayed:
    return Replayed(svix_id=delivery.svix_id, verdict=Verdict.FAILED, reason=reason)

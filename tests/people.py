"""Users and observations to test with."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from domain.sync_user import DeliveryRecord, SyncResult, SyncUser
from domain.user import DeletedUser, Outcome, Source, User, UserChange, UserId

BASE = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = count(1)


def at(seconds: float) -> datetime:
    return BASE + timedelta(seconds=seconds)


def new_id() -> UserId:
    return UserId(f"user_{uuid4().hex}")


def user(
    user_id: UserId, *, updated: float = 0, seen: float | None = None, **contents: Any
) -> User:
    """Each version has other contents, unless they are given."""
    named = {"first_name": f"Ada {updated}"} if updated else {}
    return User(
        clerk_id=user_id,
        clerk_updated_at=at(updated),
        observed_at=at(updated if seen is None else seen),
        **{"email": "ada@example.com", "clerk_created_at": BASE, **named, **contents},
    )


def deleted(user_id: UserId, *, when: float = 100) -> DeletedUser:
    return DeletedUser(clerk_id=user_id, deleted_at=at(when))


def outcomes_of(results: Iterable[SyncResult | None]) -> list[Outcome | None]:
    """In their order; None for what was refused."""
    return [result.outcome if result else None for result in results]


def observed(change: UserChange, source: Source = Source.JIT) -> SyncUser:
    return SyncUser(change=change, source=source)


def delivered(change: UserChange, *, svix_id: str | None = None, body: bytes = b"{}") -> SyncUser:
    kind = "user.deleted" if isinstance(change, DeletedUser) else "user.updated"
    return SyncUser(
        change=change,
        source=Source.WEBHOOK,
        delivery=DeliveryRecord(
            svix_id=svix_id or f"msg_{next(_numbers)}_{uuid4().hex[:8]}",
            event_type=kind,
            occurred_at=at(1),
            body=body,
        ),
    )

"""One user's history in words: each observation, its outcome, and the reason for the outcome."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.journal import DISMISSED, QUARANTINED, JournalEntry
from domain.user import KEPT_FIELDS, DeletedUser, Outcome, User, UserState, is_same
from domain.words import span

_COMPARED = ("clerk_updated_at", *KEPT_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """One line of the history. `happened_at` is Clerk's time, `seen_at` is ours."""

    seen_at: datetime
    happened_at: datetime | None
    source: str
    what: str
    words: str
    svix_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One field on both sides."""

    field: str
    ours: Any
    clerks: Any

    @property
    def same(self) -> bool:
        return is_same(self.ours, self.clerks)

    @property
    def is_empty(self) -> bool:
        """Whether both sides are empty. False counts as a value."""
        return not any(one or one is False for one in (self.ours, self.clerks))


def timeline(entries: Iterable[JournalEntry]) -> list[TimelineEvent]:
    """The history in the order in which we saw it."""
    return [
        TimelineEvent(
            seen_at=entry.received_at,
            happened_at=entry.occurred_at or entry.clerk_updated_at,
            source=entry.source.value,
            what=entry.event_type or "observation",
            words=why(entry),
            svix_id=entry.svix_id,
        )
        for entry in entries
    ]


def why(entry: JournalEntry) -> str:
    """The outcome of an entry and its reason, such as `stale: 12 s older than the row`."""
    explained = _REASONS[entry.outcome](entry)
    if entry.deliveries > 1:
        explained += f"; delivered {entry.deliveries} times"
    return f"{entry.outcome}: {explained}"


def standing(record: UserState) -> str:
    """The state of the user's row in our table, in words."""
    if record is None:
        return "no record"
    if isinstance(record, DeletedUser):
        return f"deleted, a tombstone since {record.deleted_at.isoformat()}"
    banned = ", banned" if record.banned else ""
    return f"live{banned}, at the version of {record.clerk_updated_at.isoformat()}"


def beside(ours: UserState, clerks: User | None) -> list[Comparison]:
    """Our record and Clerk's answer, field by field; None where there is no user."""
    mine, theirs = _fields(ours), _fields(clerks)
    return [
        Comparison(field=name, ours=mine.get(name), clerks=theirs.get(name))
        for name in ("exists", *_COMPARED)
    ]


def _fields(user: UserState) -> Mapping[str, Any]:
    if not isinstance(user, User):
        return {"exists": False}
    return {"exists": True, **{name: getattr(user, name) for name in _COMPARED}}


def _newer(entry: JournalEntry) -> str:
    return _against_the_row(
        entry, "newer", "the same version, seen later or with the greater digest"
    )


def _older(entry: JournalEntry) -> str:
    return _against_the_row(
        entry, "older", "the same version, seen earlier or with the lesser digest"
    )


def _against_the_row(entry: JournalEntry, word: str, tie: str) -> str:
    if entry.clerk_updated_at is None or entry.stored_updated_at is None:
        return f"{word} than the row"
    apart = entry.clerk_updated_at - entry.stored_updated_at
    return f"{span(apart)} {word} than the row" if apart else tie


_REASONS: Mapping[str, Callable[[JournalEntry], str]] = {
    Outcome.CREATED: lambda _: "there was no record",
    Outcome.UPDATED: _newer,
    Outcome.UNCHANGED: lambda _: "the contents were there already",
    Outcome.STALE: _older,
    Outcome.DELETED: lambda _: "a tombstone from here on",
    Outcome.GONE: lambda _: "refused, because the tombstone stands",
    DISMISSED: lambda entry: f"not applied ({entry.error or 'no reason kept'}), and given up",
    QUARANTINED: lambda entry: f"not applied ({entry.error or 'no reason kept'})",
}

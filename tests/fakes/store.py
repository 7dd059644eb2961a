"""The store in memory. It passes the same contract suite as Postgres."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from domain.changes import Change, difference
from domain.journal import DISMISSED, QUARANTINED, Journal, JournalEntry, JournalQuery
from domain.ports import UserRepository, UserTable
from domain.sync_user import SyncResult, SyncUser, UnreadableDelivery, second_svix_id
from domain.user import (
    KEPT_FIELDS,
    LEAST_VERSION,
    DeletedUser,
    LocalUser,
    Outcome,
    Source,
    User,
    UserChange,
    UserId,
    join,
    outcome_of,
)


@dataclass
class Row:
    state: UserChange
    synced_by: Source
    id: UUID = field(default_factory=uuid4)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    last_synced_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Entry:
    """One line of the journal."""

    svix_id: str | None
    event_type: str | None
    clerk_id: UserId | None
    source: Source
    outcome: str
    body: bytes | None
    deliveries: int = 1
    error: str | None = None
    occurred_at: datetime | None = None
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class InMemoryStore(UserRepository, UserTable, Journal):
    """Users, journal and changes; `sync` writes all three."""

    def __init__(self) -> None:
        self.rows: dict[UserId, Row] = {}
        self.journal: list[Entry] = []
        self.changes: list[Change] = []

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        await asyncio.sleep(0)
        row = self.rows.get(user_id)
        return None if row is None else _local(row)

    async def sync(self, command: SyncUser) -> SyncResult:
        await asyncio.sleep(0)
        row = self.rows.get(command.change.clerk_id)
        stored = row.state if row else None
        outcome = outcome_of(stored, command.change)
        self._keep(command, outcome)
        self._record(command, outcome, stored)
        return self._journal(command, outcome)

    async def sync_and_get(
        self, command: SyncUser
    ) -> tuple[SyncResult, LocalUser | DeletedUser | None]:
        result = await self.sync(command)
        return result, _local(self.rows[command.change.clerk_id])

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        await asyncio.sleep(0)
        row = self.rows.get(user_id)
        if row is None or not isinstance(row.state, User):
            return False
        if row.state.clerk_updated_at not in (version, LEAST_VERSION):
            return False
        row.state = replace(row.state, clerk_updated_at=LEAST_VERSION, observed_at=LEAST_VERSION)
        return True

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        return [await self.sync(command) for command in commands]

    async def get_many(
        self, user_ids: Sequence[UserId]
    ) -> Mapping[UserId, LocalUser | DeletedUser]:
        await asyncio.sleep(0)
        return {one: _local(self.rows[one]) for one in user_ids if one in self.rows}

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        await asyncio.sleep(0)
        live = (one for one, row in self.rows.items() if isinstance(row.state, User))
        return sorted(one for one in live if after is None or one > after)[:limit]

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        await asyncio.sleep(0)
        svix_id = delivery.svix_id
        if (known := self._entry(svix_id)) and not _is_the_same(known, delivery):
            svix_id = second_svix_id(svix_id, delivery.body)
            known = self._entry(svix_id)
        if known:
            self._replace(known, replace(known, deliveries=known.deliveries + 1))
            return
        row = self.rows.get(delivery.clerk_id) if delivery.clerk_id else None
        erased = row is not None and isinstance(row.state, DeletedUser)
        self.journal.append(
            Entry(
                svix_id=svix_id,
                event_type=delivery.event_type,
                clerk_id=delivery.clerk_id,
                source=Source.WEBHOOK,
                outcome="quarantined",
                body=None if erased else delivery.body,
                error=delivery.reason,
                occurred_at=delivery.occurred_at,
            )
        )

    async def quarantined(self) -> int:
        return sum(entry.outcome == "quarantined" for entry in self.journal)

    async def dismiss(self, query: JournalQuery) -> int:
        wanted = replace(query, outcomes=frozenset({QUARANTINED}))
        ids = {entry.svix_id async for entry in self.deliveries(wanted)}
        for entry in [one for one in self.journal if one.svix_id in ids]:
            self._replace(entry, replace(entry, outcome=DISMISSED))
        return len(ids)

    async def count(self, query: JournalQuery) -> int:
        return len([entry async for entry in self.deliveries(query)])

    async def deliveries(self, query: JournalQuery) -> AsyncIterator[JournalEntry]:
        await asyncio.sleep(0)
        found = [entry for entry in self._numbered() if _is_wanted(entry, query)]
        for entry in found[: query.limit]:
            yield entry

    async def history(self, user_id: UserId) -> list[JournalEntry]:
        await asyncio.sleep(0)
        about = (entry for entry in self._numbered() if entry.clerk_id == user_id)
        return [replace(entry, body=None) for entry in about]

    def _numbered(self) -> list[JournalEntry]:
        return [_kept(number, entry) for number, entry in enumerate(self.journal, start=1)]

    def _keep(self, command: SyncUser, outcome: Outcome) -> None:
        user_id = command.change.clerk_id
        row = self.rows.setdefault(user_id, Row(command.change, command.source))
        row.state = join(row.state, command.change)
        if outcome.changed_state:
            row.synced_by = command.source
            row.last_synced_at = datetime.now(UTC)
        if outcome is Outcome.DELETED:
            self.journal = [_erased(entry, user_id) for entry in self.journal]

    def _record(self, command: SyncUser, outcome: Outcome, stored: UserChange | None) -> None:
        observed = command.change
        if (moved := difference(outcome, stored, observed)) is None:
            return
        self.changes.append(
            Change(
                clerk_id=observed.clerk_id,
                user_id=self.rows[observed.clerk_id].id,
                kind=moved.kind,
                changed=moved.changed,
                source=command.source,
                occurred_at=observed.clerk_updated_at
                if isinstance(observed, User)
                else observed.deleted_at,
                recorded_at=datetime.now(UTC),
                position=0,
                traceparent=command.traceparent,
            )
        )

    def _journal(self, command: SyncUser, outcome: Outcome) -> SyncResult:
        delivery = command.delivery
        if delivery is None:
            if outcome.changed_state:
                self.journal.append(_entry(command, outcome))
            return SyncResult(outcome=outcome)
        known = self._entry(delivery.svix_id)
        if known is None:
            self.journal.append(_entry(command, outcome))
            return SyncResult(outcome=outcome, deliveries=1)
        again = _again(known, _entry(command, outcome))
        self._replace(known, again)
        entry = _entry(command, outcome)
        conflicting = again.deliveries > 1 and (
            (again.body is not None and again.body != delivery.body)
            or (again.clerk_id, again.event_type) != (entry.clerk_id, entry.event_type)
        )
        if conflicting:
            self._journal_apart(
                replace(entry, svix_id=second_svix_id(delivery.svix_id, delivery.body))
            )
        return SyncResult(outcome=outcome, deliveries=again.deliveries, conflicting=conflicting)

    def _journal_apart(self, entry: Entry) -> None:
        if known := self._entry(entry.svix_id or ""):
            self._replace(known, replace(known, deliveries=known.deliveries + 1))
        else:
            self.journal.append(entry)

    def _entry(self, svix_id: str) -> Entry | None:
        return next((entry for entry in self.journal if entry.svix_id == svix_id), None)

    def _replace(self, old: Entry, new: Entry) -> None:
        self.journal[self.journal.index(old)] = new


def _entry(command: SyncUser, outcome: Outcome) -> Entry:
    delivery = command.delivery
    kept = outcome is not Outcome.GONE and isinstance(command.change, User)
    return Entry(
        svix_id=delivery.svix_id if delivery else None,
        event_type=delivery.event_type if delivery else None,
        clerk_id=command.change.clerk_id,
        source=command.source,
        outcome=outcome.value,
        body=delivery.body if delivery and kept else None,
        occurred_at=delivery.occurred_at if delivery else None,
    )


def _again(known: Entry, entry: Entry) -> Entry:
    deliveries = known.deliveries + (entry.source is Source.WEBHOOK)
    if known.outcome in (QUARANTINED, DISMISSED):
        return replace(
            entry, deliveries=deliveries, source=known.source, received_at=known.received_at
        )
    return replace(known, deliveries=deliveries)


def _is_the_same(known: Entry, delivery: UnreadableDelivery) -> bool:
    if known.outcome not in (QUARANTINED, DISMISSED):
        return False
    if known.body is None:
        return known.clerk_id == delivery.clerk_id
    return known.body == delivery.body


def _erased(entry: Entry, user_id: UserId) -> Entry:
    return replace(entry, body=None) if entry.clerk_id == user_id else entry


def _kept(number: int, entry: Entry) -> JournalEntry:
    fields = {name: getattr(entry, name) for name in vars(entry)}
    return JournalEntry(id=number, last_received_at=entry.received_at, **fields)


def _is_wanted(entry: JournalEntry, query: JournalQuery) -> bool:
    return (
        entry.svix_id is not None
        and (entry.outcome in query.outcomes if query.outcomes else entry.outcome != DISMISSED)
        and (not query.event_types or entry.event_type in query.event_types)
        and query.user_id in (None, entry.clerk_id)
        and query.svix_id in (None, entry.svix_id)
        and query.error in (None, entry.error)
        and (query.since is None or entry.received_at >= query.since)
        and (query.until is None or entry.received_at < query.until)
    )


def _local(row: Row) -> LocalUser | DeletedUser:
    state = row.state
    if isinstance(state, DeletedUser):
        return state
    return LocalUser(
        clerk_id=state.clerk_id,
        clerk_updated_at=state.clerk_updated_at,
        observed_at=state.observed_at,
        **{name: getattr(state, name) for name in KEPT_FIELDS},
        id=row.id,
        synced_by=row.synced_by,
        created_at=row.created_at,
        last_synced_at=row.last_synced_at,
    )

"""Reconcile: compare our table with Clerk, and repair the differences on request.

Every repair is a `SyncUser`, so the join keeps what live traffic wrote since the comparison read.
A difference that live traffic could explain is confirmed with Clerk before it counts.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from domain.backfill import BACKFILLED
from domain.compact_ids import CompactIds
from domain.drift import Drift, DriftKind, Findings, compare, save_sweep
from domain.instance import is_at_clerk, require_same_instance
from domain.ports import Checkpoints, IdentityProvider, UserPage, UserRepository, UserTable
from domain.read_ahead import read_ahead
from domain.sync_user import SyncResult, SyncUser, word_for
from domain.user import DeletedUser, LocalUser, Source, User, UserId

WATERMARK = "reconcile.watermark"
"""The checkpoint that holds the time, on Clerk's clock, up to which both sides agree."""

LAST_RECENT = "reconcile.last_recent"
"""The checkpoint that holds when the last incremental repair ended, by the host's clock."""

LAST_FULL = "reconcile.last_full"
"""The checkpoint that holds when the last full repair ended, by the host's clock."""

ROWS_AT_ONCE = 1000
"""How many ids of our table are read in one query."""

CLERKS_UNIT = timedelta(milliseconds=1)
"""The resolution of Clerk's times."""

REACH_BACK = timedelta(minutes=1)
"""An incremental run begins this long before the watermark: an update may become visible later than
its `updated_at` says, and Clerk's machines may have clocks that differ.
"""

_CERTAIN = (DriftKind.MISSING, DriftKind.DIFFERING)
"""Drift that needs no confirmation: a repair of it cannot overwrite anything newer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TombstoneLimit:
    """How many rows one run may tombstone: the greater of `rows` and `share` of all live rows.

    `allowed` overrides both. Above the limit none is tombstoned.
    """

    rows: int = 50
    share: float = 0.01
    allowed: int | None = None

    def of(self, live: int) -> int:
        return max(self.rows, int(live * self.share)) if self.allowed is None else self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileOptions:
    """Without `repair`, nothing is written to `users`. Without `remember`, the watermark stays.

    With `insist` the watermark of an incremental run also stays if a user could not be read or
    repaired. Otherwise such a user is left to the next full comparison.
    `trust_clerk` names users whose rows are overwritten even if they are ahead of Clerk: the
    version of such a row is withdrawn, so that Clerk's answer is the greater.
    `on_drift` is called with every drift, `on_repaired` with every one that is repaired, and
    `on_compared` with the number of users in every page compared.
    """

    repair: bool = False
    tombstone_limit: TombstoneLimit = field(default_factory=TombstoneLimit)
    remember: bool = True
    insist: bool = True
    trust_clerk: frozenset[UserId] = frozenset()
    on_drift: Callable[[Drift], None] = lambda _drift: None
    on_repaired: Callable[[Drift], None] = lambda _drift: None
    on_compared: Callable[[int], None] = lambda _count: None


@dataclass(frozen=True, kw_only=True)
class Reconcile:
    """The use case. `instance_id`, if set, is the Clerk instance the users must belong to.

    Both methods add to `findings` during the run, so that a run that fails still shows what it did.
    Both raise `WrongInstance`, `IdentityProviderUnavailable` or `StorageUnavailable`.
    """

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    checkpoints: Checkpoints
    instance_id: str | None = None

    async def recent(self, options: ReconcileOptions, findings: Findings) -> None:
        """Compare the users that Clerk updated since the watermark.

        It finds neither deletions nor changes that were made to our rows alone. The first run
        compares all users at Clerk.
        """
        await self._require_same_instance()
        saved = await self.checkpoints.load(WATERMARK)
        missing = Source.RECONCILE if saved else await self._source_of_missing()
        run = _Run(self, options, findings, missing)
        read_at = await run.compare_updated(datetime.fromisoformat(saved) if saved else None)
        settled = not options.insist or not (findings.left or findings.left_out)
        if read_at is not None and settled and options.remember:
            await self.checkpoints.save(WATERMARK, read_at.isoformat())
        if options.repair:
            await self.checkpoints.save(LAST_RECENT, datetime.now(UTC).isoformat())

    async def full(self, options: ReconcileOptions, findings: Findings) -> None:
        """Compare all users of both sides."""
        await self._require_same_instance()
        is_empty = not await self.user_table.live_ids(after=None, limit=1)
        missing = Source.BACKFILL if is_empty else await self._source_of_missing()
        run = _Run(self, options, findings, missing)
        at_clerk = await run.compare_everyone()
        await run.find_deleted(at_clerk)
        if options.repair:
            now = datetime.now(UTC)
            await self.checkpoints.save(LAST_FULL, now.isoformat())
            await save_sweep(self.checkpoints, findings.as_sweep(now))

    async def _source_of_missing(self) -> Source:
        """Until one run has brought in everybody, a missing user may have signed up years ago.

        Such a creation counts as a backfill, so that nobody is welcomed late. Updates and deletions
        are news at any time.
        """
        for ended in (WATERMARK, LAST_FULL, BACKFILLED):
            if await self.checkpoints.load(ended) is not None:
                return Source.RECONCILE
        return Source.BACKFILL

    async def _require_same_instance(self) -> None:
        await require_same_instance(
            self.identity_provider, self.user_table, self.checkpoints, self.instance_id
        )


def now_in_milliseconds() -> datetime:
    """The host's time in milliseconds, Clerk's unit: for a deletion without a webhook."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class _Run:
    ports: Reconcile
    options: ReconcileOptions
    findings: Findings
    source_of_missing: Source

    async def compare_updated(self, watermark: datetime | None) -> datetime | None:
        """Compare users updated since the watermark, or all of them in creation order.

        Returns when the first page was read, by Clerk's clock; None if no page tells.
        """
        clerk = self.ports.identity_provider
        since = watermark - REACH_BACK if watermark else datetime.min.replace(tzinfo=UTC)
        read_at: datetime | None = None
        async for page in clerk.newest_first() if watermark else clerk.pages():
            read_at = read_at or page.read_at
            updated = [user for user in page.users if user.clerk_updated_at >= since]
            await self._compare(replace(page, users=updated))
            if len(updated) < len(page.users):
                break
        return read_at

    async def compare_everyone(self) -> CompactIds:
        """Compare every user at Clerk. Returns the ids of all, unreadable ones too."""
        ids = CompactIds()
        async with aclosing(read_ahead(self.ports.identity_provider.pages())) as pages:
            async for page in pages:
                await self._compare(page)
                for user in page.users:
                    ids.add(user.clerk_id)
                for left_out in page.left_out:
                    ids.add(left_out.clerk_id)
        return ids

    async def find_deleted(self, at_clerk: CompactIds) -> None:
        """Find live rows whose user is not at Clerk. Above the limit none is repaired."""
        live, absent = 0, list[UserId]()
        after: UserId | None = None
        while ids := await self.ports.user_table.live_ids(after=after, limit=ROWS_AT_ONCE):
            live += len(ids)
            absent += [user_id for user_id in ids if user_id not in at_clerk]
            after = ids[-1]
        if len(absent) > self.options.tombstone_limit.of(live):
            self._note([_deleted(user_id) for user_id in absent])
            self.findings.held_back = len(absent)
            return
        for user_id in absent:
            await self._confirm_deleted(user_id)

    async def _compare(self, page: UserPage) -> None:
        found = [await self._confirmed(drift) for drift in await self._drifts(page.users)]
        confirmed = [drift for drift in found if drift is not None]
        self._note(confirmed)
        self.findings.left_out += page.left_out
        self.findings.compared += len(page.users)
        self.options.on_compared(len(page.users))
        if self.options.repair and confirmed:
            await self._make_equal(confirmed)

    async def _drifts(self, users: Sequence[User]) -> list[Drift]:
        here = await self.ports.user_table.get_many([user.clerk_id for user in users])
        drifts = (compare(here.get(user.clerk_id), user) for user in users)
        return [drift for drift in drifts if drift is not None]

    async def _confirmed(self, drift: Drift) -> Drift | None:
        """A webhook may have updated our row after the page was read: fetch the user again."""
        if drift.kind in _CERTAIN:
            return drift
        at_clerk = await self.ports.identity_provider.fetch(drift.clerk_id)
        if at_clerk is None:
            return None
        return compare(await self.ports.users.get(drift.clerk_id), at_clerk)

    async def _make_equal(self, drifts: Sequence[Drift]) -> None:
        for drift in drifts:
            await self._withdraw_if_trusted(drift)
        observed = [(drift.kind, drift.at_clerk) for drift in drifts if drift.at_clerk is not None]
        await self._sync([self._command(kind, user) for kind, user in observed])
        remaining = await self._drifts([user for _, user in observed])
        left = {drift.clerk_id for drift in remaining if not await self._settled(drift)}
        self._note_repaired(drift for drift in drifts if drift.clerk_id not in left)

    def _command(self, kind: DriftKind, user: User) -> SyncUser:
        is_missing = kind is DriftKind.MISSING
        source = self.source_of_missing if is_missing else Source.RECONCILE
        return SyncUser(change=user, source=source)

    async def _withdraw_if_trusted(self, drift: Drift) -> None:
        if drift.kind is DriftKind.AHEAD and drift.clerk_id in self.options.trust_clerk:
            assert isinstance(drift.here, LocalUser)  # noqa: S101 - what is ahead is live
            await self.ports.users.withdraw_version(drift.clerk_id, drift.here.clerk_updated_at)

    async def _settled(self, drift: Drift) -> bool:
        """Whether a new answer from Clerk explains why the row still differs, or repairs it.

        The join keeps the later of two observations of one version, and Clerk's clock shows whole
        seconds. This answer was requested after our row was read: it is given a later time.
        """
        at_clerk = await self.ports.identity_provider.fetch(drift.clerk_id)
        if at_clerk is None:
            return True
        if drift.kind is DriftKind.DIFFERING and isinstance(drift.here, LocalUser):
            later = max(at_clerk.observed_at, drift.here.observed_at + CLERKS_UNIT)
            change = replace(at_clerk, observed_at=later)
            await self._sync([SyncUser(change=change, source=Source.RECONCILE)])
        return not await self._drifts([at_clerk])

    async def _sync(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        results = await self.ports.users.sync_many(commands)
        self.findings.outcomes.update(map(word_for, results))
        return results

    async def _confirm_deleted(self, user_id: UserId) -> None:
        """Only Clerk's 404 counts: the user may have been created after the list was read."""
        if await is_at_clerk(self.ports.identity_provider, user_id):
            return
        drift = _deleted(user_id)
        self._note([drift])
        if self.options.repair:
            # If the webhook of this deletion arrives later, the join keeps its earlier time.
            change = DeletedUser(clerk_id=user_id, deleted_at=now_in_milliseconds())
            [result] = await self._sync([SyncUser(change=change, source=Source.RECONCILE)])
            if result is not None:
                self._note_repaired([drift])

    def _note(self, drifts: Sequence[Drift]) -> None:
        for drift in drifts:
            self.findings.found[drift.kind] += 1
            self.options.on_drift(drift)

    def _note_repaired(self, drifts: Iterable[Drift]) -> None:
        for drift in drifts:
            self.findings.repaired[drift.kind] += 1
            self.options.on_repaired(drift)


def _deleted(user_id: UserId) -> Drift:
    return Drift(kind=DriftKind.DELETED, clerk_id=user_id)

"""Our table compared with Clerk, and made to agree where that is asked for.

Every repair is a `SyncUser`: the join decides, so what was read a moment ago cannot overwrite live
traffic. A difference that live traffic can explain is confirmed with Clerk before it counts.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from domain.compact_ids import CompactIds
from domain.drift import Drift, DriftKind, Findings, compare, save_sweep
from domain.instance import is_at_clerk, require_same_instance
from domain.ports import Checkpoints, IdentityProvider, UserPage, UserRepository, UserTable
from domain.read_ahead import read_ahead
from domain.sync_user import SyncUser, word_for
from domain.user import DeletedUser, LocalUser, Source, User, UserId

WATERMARK = "reconcile.watermark"
"""The `updated_at` up to which both sides agreed, by Clerk's clock."""

LAST_FULL = "reconcile.last_full"
"""When the last full repair ended, by our own clock."""

ROWS_AT_ONCE = 1000

CLERKS_UNIT = timedelta(milliseconds=1)
"""The resolution of Clerk's times."""

_CERTAIN = (DriftKind.MISSING, DriftKind.DIFFERING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """How many rows one run may tombstone: `rows` or `share` of the live ones, the greater.

    `allowed` overrides both.
    """

    rows: int = 50
    share: float = 0.01
    allowed: int | None = None

    def limit(self, live: int) -> int:
        return max(self.rows, int(live * self.share)) if self.allowed is None else self.allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileOptions:
    """How to run. Without `repair` it only reads. Without `remember` it moves no watermark.

    `on_drift` is called with every disagreement, `on_compared` with the number of users in every
    page compared.
    """

    repair: bool = False
    brake: Brake = field(default_factory=Brake)
    remember: bool = True
    on_drift: Callable[[Drift], None] = lambda _drift: None
    on_compared: Callable[[int], None] = lambda _count: None


@dataclass(frozen=True, kw_only=True)
class Reconcile:
    """The use case. `instance_id` is the instance that the users must be of, where it is known.

    Both runs fill `findings` as they go, so a run that breaks off still says what it did. Both
    raise `WrongInstance` when nothing shows that the key belongs to our rows,
    `IdentityProviderUnavailable` or `StorageUnavailable`.
    """

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    checkpoints: Checkpoints
    instance_id: str | None = None

    async def recent(self, options: ReconcileOptions, findings: Findings) -> None:
        """Compare what Clerk updated since the last run that left nothing behind.

        It finds neither deletions nor rows that changed here alone.
        """
        await self._require_same_instance()
        run = _Run(self, options, findings)
        saved = await self.checkpoints.load(WATERMARK)
        newest = await run.compare_newest(datetime.fromisoformat(saved) if saved else None)
        settled = not findings.left and not findings.left_out
        if newest is not None and settled and options.remember:
            await self.checkpoints.save(WATERMARK, newest.isoformat())

    async def full(self, options: ReconcileOptions, findings: Findings) -> None:
        """Compare every id on both sides."""
        await self._require_same_instance()
        run = _Run(self, options, findings)
        at_clerk = await run.compare_everyone()
        await run.find_deleted(at_clerk)
        if options.repair:
            now = datetime.now(UTC)
            await self.checkpoints.save(LAST_FULL, now.isoformat())
            await save_sweep(self.checkpoints, findings.as_sweep(now))

    async def _require_same_instance(self) -> None:
        await require_same_instance(self.identity_provider, self.user_table, self.instance_id)


def clerks_now() -> datetime:
    """Our clock to the millisecond, as Clerk counts: for a deletion that nobody announced."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class _Run:
    ports: Reconcile
    options: ReconcileOptions
    findings: Findings

    async def compare_newest(self, watermark: datetime | None) -> datetime | None:
        """Users updated since the watermark. Returns the newest `updated_at` seen."""
        newest: datetime | None = None
        async for page in self.ports.identity_provider.newest_first():
            if page.users:
                newest = newest or page.users[0].clerk_updated_at
            since = [u for u in page.users if watermark is None or u.clerk_updated_at >= watermark]
            await self._compare(replace(page, users=since))
            if len(since) < len(page.users):
                break
        return newest

    async def compare_everyone(self) -> CompactIds:
        """Every user at Clerk. Returns their ids."""
        ids = CompactIds()
        async with aclosing(read_ahead(self.ports.identity_provider.pages())) as pages:
            async for page in pages:
                await self._compare(page)
                for user in page.users:
                    ids.add(user.clerk_id)
        return ids

    async def find_deleted(self, at_clerk: CompactIds) -> None:
        """Live rows of ours that are not at Clerk, unless they are more than the brake allows."""
        live, absent = 0, list[UserId]()
        after: UserId | None = None
        while ids := await self.ports.user_table.live_ids(after=after, limit=ROWS_AT_ONCE):
            live += len(ids)
            absent += [user_id for user_id in ids if user_id not in at_clerk]
            after = ids[-1]
        if len(absent) > self.options.brake.limit(live):
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
        """A webhook may have updated our row after the page was read: ask Clerk again."""
        if drift.kind in _CERTAIN:
            return drift
        at_clerk = await self.ports.identity_provider.fetch(drift.clerk_id)
        if at_clerk is None:
            return None
        return compare(await self.ports.users.get(drift.clerk_id), at_clerk)

    async def _make_equal(self, drifts: Sequence[Drift]) -> None:
        observed = [drift.at_clerk for drift in drifts if drift.at_clerk is not None]
        await self._sync([SyncUser(change=user, source=Source.RECONCILE) for user in observed])
        remaining = await self._drifts(observed)
        left = {drift.clerk_id for drift in remaining if not await self._settled(drift)}
        self._note_repaired(drift for drift in drifts if drift.clerk_id not in left)

    async def _settled(self, drift: Drift) -> bool:
        """Ask Clerk once more: either live traffic came between, or the join kept our row.

        Of two observations of one version the later stands, and Clerk's clock shows whole seconds.
        An answer that was asked for after our row was read is the later one, whatever the clock.
        """
        at_clerk = await self.ports.identity_provider.fetch(drift.clerk_id)
        if at_clerk is None:
            return True
        if drift.kind is DriftKind.DIFFERING and isinstance(drift.here, LocalUser):
            later = max(at_clerk.observed_at, drift.here.observed_at + CLERKS_UNIT)
            change = replace(at_clerk, observed_at=later)
            await self._sync([SyncUser(change=change, source=Source.RECONCILE)])
        return not await self._drifts([at_clerk])

    async def _sync(self, commands: Sequence[SyncUser]) -> None:
        results = await self.ports.users.sync_many(commands)
        self.findings.outcomes.update(map(word_for, results))

    async def _confirm_deleted(self, user_id: UserId) -> None:
        """Only Clerk's own 404 counts: the user may have been created after the list was read."""
        if await is_at_clerk(self.ports.identity_provider, user_id):
            return
        drift = _deleted(user_id)
        self._note([drift])
        if self.options.repair:
            # A late webhook may still bring the true, earlier time: of two the earlier one stands.
            change = DeletedUser(clerk_id=user_id, deleted_at=clerks_now())
            await self._sync([SyncUser(change=change, source=Source.RECONCILE)])
            self._note_repaired([drift])

    def _note(self, drifts: Sequence[Drift]) -> None:
        for drift in drifts:
            self.findings.found[drift.kind] += 1
            self.options.on_drift(drift)

    def _note_repaired(self, drifts: Iterable[Drift]) -> None:
        self.findings.repaired.update(drift.kind for drift in drifts)


def _deleted(user_id: UserId) -> Drift:
    return Drift(kind=DriftKind.DELETED, clerk_id=user_id)

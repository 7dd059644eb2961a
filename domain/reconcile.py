"""Our table held against Clerk, and made to agree where that is asked for.

Every repair is a `SyncUser`: the join decides, so live traffic meanwhile cannot be overwritten by
what was read a moment before. What looks odd because of that traffic is asked again before it
counts as drift.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from domain.compact_ids import CompactIds
from domain.drift import Drift, DriftKind, compare
from domain.instance import is_at_clerk, require_same_instance
from domain.observation import SyncUser
from domain.ports import Checkpoints, IdentityProvider, UserRepository, UserTable
from domain.read_ahead import read_ahead
from domain.sweep import Sweep, save_sweep
from domain.sync_user import SyncUserHandler, word_for
from domain.user import DeletedUser, LocalUser, Source, User, UserId

WATERMARK = "reconcile.watermark"
"""The `updated_at` up to which both sides were found, or made, to agree."""

LAST_FULL = "reconcile.last_full"
"""When the last full repair ended, by our own clock."""

ROWS_AT_ONCE = 1000

CLERKS_UNIT = timedelta(milliseconds=1)
"""Clerk counts in these."""

_CERTAIN = (DriftKind.MISSING, DriftKind.DIFFERING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brake:
    """How many rows one run may tombstone: `rows` or `share` of the live ones, the greater.

    `allowed` comes before both.
    """

    rows: int = 50
    share: float = 0.01
    allowed: int | None = None

    def limit(self, live: int) -> int:
        return max(self.rows, int(live * self.share)) if self.allowed is None else self.allowed


@dataclass(slots=True, kw_only=True)
class Findings:
    """What one run has found and done so far."""

    compared: int = 0
    found: Counter[DriftKind] = field(default_factory=Counter)
    repaired: Counter[DriftKind] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    held_back: int = 0

    @property
    def left(self) -> int:
        """Rows that still disagree."""
        return self.found.total() - self.repaired.total()

    def as_sweep(self, ended_at: datetime) -> Sweep:
        """The same of a full run that has ended."""
        return Sweep(
            ended_at=ended_at,
            compared=self.compared,
            found=_by_word(self.found),
            repaired=_by_word(self.repaired),
            held_back=self.held_back,
        )


@dataclass(frozen=True, kw_only=True)
class Reconcile:
    """The use case. It reads only, unless `repair`.

    `on_drift` hears of every disagreement, `on_compared` how many users were looked at.
    `left_out` says how many users of Clerk's could not even be read so far. Where it does not
    `remember`, the next run looks at the same once more.
    """

    users: UserRepository
    user_table: UserTable
    identity_provider: IdentityProvider
    sync_user: SyncUserHandler
    checkpoints: Checkpoints
    instance_id: str | None = None
    repair: bool = False
    brake: Brake = field(default_factory=Brake)
    on_drift: Callable[[Drift], None] = lambda _drift: None
    on_compared: Callable[[int], None] = lambda _count: None
    left_out: Callable[[], int] = lambda: 0
    remember: bool = True
    findings: Findings = field(default_factory=Findings)

    async def recent(self) -> Findings:
        """Only what Clerk updated since the last run that left nothing behind.

        Deletions are not seen, nor what was changed here alone. Raises as `full` does.
        """
        await self._require_same_instance()
        saved = await self.checkpoints.load(WATERMARK)
        newest = await self._compare_newest(datetime.fromisoformat(saved) if saved else None)
        if newest is not None and self._all_is_settled():
            await self.checkpoints.save(WATERMARK, newest.isoformat())
        return self.findings

    async def full(self) -> Findings:
        """Every id on both sides.

        Raises `WrongInstance` when nothing shows that the key belongs to our rows,
        `IdentityProviderUnavailable` or `StorageUnavailable`.
        """
        await self._require_same_instance()
        at_clerk = await self._compare_everyone()
        await self._find_deleted(at_clerk)
        if self.repair:
            await self.checkpoints.save(LAST_FULL, datetime.now(UTC).isoformat())
            await save_sweep(self.checkpoints, self.findings.as_sweep(datetime.now(UTC)))
        return self.findings

    async def _require_same_instance(self) -> None:
        await require_same_instance(self.identity_provider, self.user_table, self.instance_id)

    def _all_is_settled(self) -> bool:
        return self.remember and not self.findings.left and not self.left_out()

    async def _compare_newest(self, watermark: datetime | None) -> datetime | None:
        newest: datetime | None = None
        async for page in self.identity_provider.newest_first():
            newest = newest or page[0].clerk_updated_at
            since = [u for u in page if watermark is None or u.clerk_updated_at >= watermark]
            await self._compare(since)
            if len(since) < len(page):
                break
        return newest

    async def _compare_everyone(self) -> CompactIds:
        ids = CompactIds()
        async with aclosing(read_ahead(self.identity_provider.pages())) as pages:
            async for page in pages:
                await self._compare(page)
                for user in page:
                    ids.add(user.clerk_id)
        return ids

    async def _compare(self, page: Sequence[User]) -> None:
        drifts = [await self._confirmed(drift) for drift in await self._drifts(page)]
        confirmed = [drift for drift in drifts if drift is not None]
        self._note(confirmed)
        self.findings.compared += len(page)
        self.on_compared(len(page))
        if self.repair and confirmed:
            await self._make_equal(confirmed)

    async def _drifts(self, page: Sequence[User]) -> list[Drift]:
        here = await self.user_table.get_many([user.clerk_id for user in page])
        drifts = (compare(here.get(user.clerk_id), user) for user in page)
        return [drift for drift in drifts if drift is not None]

    async def _confirmed(self, drift: Drift) -> Drift | None:
        """Our row may be the better one: a webhook came after the page. By now Clerk agrees."""
        if drift.kind in _CERTAIN:
            return drift
        at_clerk = await self.identity_provider.fetch(drift.clerk_id)
        if at_clerk is None:
            return None
        return compare(await self.users.get(drift.clerk_id), at_clerk)

    async def _make_equal(self, drifts: Sequence[Drift]) -> None:
        observed = [drift.at_clerk for drift in drifts if drift.at_clerk is not None]
        await self._sync([SyncUser(change=user, source=Source.RECONCILE) for user in observed])
        remaining = await self._drifts(observed)
        left = {drift.clerk_id for drift in remaining if not await self._settled(drift)}
        self._note_repaired(drift for drift in drifts if drift.clerk_id not in left)

    async def _settled(self, drift: Drift) -> bool:
        """Ask again: either live traffic came between, or the join took ours for the later sight.

        Of two sights of one version the later stands, and Clerk's clock shows whole seconds. But
        an answer that was asked for after our row was read is the later one, whatever the clock.
        """
        at_clerk = await self.identity_provider.fetch(drift.clerk_id)
        if at_clerk is None:
            return True
        if drift.kind is DriftKind.DIFFERING and isinstance(drift.here, LocalUser):
            later = max(at_clerk.observed_at, drift.here.observed_at + CLERKS_UNIT)
            change = replace(at_clerk, observed_at=later)
            await self._sync([SyncUser(change=change, source=Source.RECONCILE)])
        return not await self._drifts([at_clerk])

    async def _sync(self, commands: Sequence[SyncUser]) -> None:
        results = await self.sync_user.many(commands)
        self.findings.outcomes.update(map(word_for, results))

    async def _find_deleted(self, at_clerk: CompactIds) -> None:
        live, absent = await self._absent(at_clerk)
        if len(absent) > self.brake.limit(live):
            self._note([_deleted(user_id) for user_id in absent])
            self.findings.held_back = len(absent)
            return
        for user_id in absent:
            await self._confirm_deleted(user_id)

    async def _absent(self, at_clerk: CompactIds) -> tuple[int, list[UserId]]:
        """How many live rows we have, and those of them that Clerk's list did not have."""
        live, absent = 0, list[UserId]()
        after: UserId | None = None
        while ids := await self.user_table.live_ids(after=after, limit=ROWS_AT_ONCE):
            live += len(ids)
            absent += [user_id for user_id in ids if user_id not in at_clerk]
            after = ids[-1]
        return live, absent

    async def _confirm_deleted(self, user_id: UserId) -> None:
        """Only Clerk's own 404 counts: the user may be younger than the list."""
        if await is_at_clerk(self.identity_provider, user_id):
            return
        drift = _deleted(user_id)
        self._note([drift])
        if self.repair:
            # Later than the truth, which a late webhook may still bring: the earlier one stands.
            change = DeletedUser(clerk_id=user_id, deleted_at=_now())
            await self._sync([SyncUser(change=change, source=Source.RECONCILE)])
            self._note_repaired([drift])

    def _note(self, drifts: Sequence[Drift]) -> None:
        for drift in drifts:
            self.findings.found[drift.kind] += 1
            self.on_drift(drift)

    def _note_repaired(self, drifts: Iterable[Drift]) -> None:
        self.findings.repaired.update(drift.kind for drift in drifts)


def _deleted(user_id: UserId) -> Drift:
    return Drift(kind=DriftKind.DELETED, clerk_id=user_id)


def _by_word(counts: Counter[DriftKind]) -> dict[str, int]:
    return {kind.value: count for kind, count in counts.items()}


def _now() -> datetime:
    """To the millisecond, as Clerk counts."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)

"""Tables with drift, and the use cases that repair it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from domain.backfill import Backfill
from domain.drift import Findings
from domain.ports import UserRepository, UserTable
from domain.reconcile import Reconcile, ReconcileOptions
from domain.sync_user import SyncResult, SyncUser
from domain.user import DeletedUser, LocalUser, UserId
from scripts.clerk_emulator import ClerkEmulator
from service import services
from service.services import Operations
from tests.e2e.truth import differences
from tests.postgres_server import Sql


class TableInTheMiddle(UserTable):
    """The real table, which calls a test's function just before it is read."""

    def __init__(self, table: UserTable) -> None:
        self.table = table

    async def get_many(
        self, user_ids: Sequence[UserId]
    ) -> Mapping[UserId, LocalUser | DeletedUser]:
        return await self.table.get_many(user_ids)

    async def live_ids(self, *, after: UserId | None, limit: int) -> Sequence[UserId]:
        return await self.table.live_ids(after=after, limit=limit)


class UsersInTheMiddle(UserRepository):
    """The real repository, which calls a test's function just before it is written."""

    def __init__(self, users: UserRepository) -> None:
        self.users = users

    async def get(self, user_id: UserId) -> LocalUser | DeletedUser | None:
        return await self.users.get(user_id)

    async def sync(self, command: SyncUser) -> SyncResult:
        return await self.users.sync(command)

    async def sync_many(self, commands: Sequence[SyncUser]) -> list[SyncResult | None]:
        return await self.users.sync_many(commands)

    async def withdraw_version(self, user_id: UserId, version: datetime) -> bool:
        return await self.users.withdraw_version(user_id, version)


@dataclass
class Reconciling:
    """A use case with its options; each run returns its findings."""

    use_case: Reconcile
    options: ReconcileOptions

    async def full(self) -> Findings:
        findings = Findings()
        await self.use_case.full(self.options, findings)
        return findings

    async def recent(self) -> Findings:
        findings = Findings()
        await self.use_case.recent(self.options, findings)
        return findings


def backfill_of(available: Operations, **changes: Any) -> Backfill:
    return replace(services.backfill_of(available.store, available.clerk), **changes)


def reconcile_of(available: Operations, **changes: Any) -> Reconciling:
    """Ports and options by their names."""
    names = {field.name for field in fields(ReconcileOptions)}
    options = {name: value for name, value in changes.items() if name in names}
    ports = {name: value for name, value in changes.items() if name not in names}
    use_case = services.reconcile_of(available.store, available.clerk)
    return Reconciling(replace(use_case, **ports), ReconcileOptions(**options))


async def run_backfill(available: Operations) -> list[str]:
    """The state of every user."""
    outcomes: list[str] = []
    await backfill_of(available).run(lambda page, _: outcomes.extend(page))
    return outcomes


def ids_of(clerk: ClerkEmulator) -> list[str]:
    return [user.id for user in clerk.users]


async def drift(clerk: ClerkEmulator, sql: Sql) -> dict[str, Any]:
    """All differences between both sides, found without our own code."""
    here = {row["clerk_id"] for row in await sql.fetch("select clerk_id from users")}
    return await differences(clerk, sql, here | set(ids_of(clerk)))


async def contents(sql: Sql) -> list[Any]:
    """Every row with all columns, except the time at which the same contents were last seen."""
    return [
        {name: value for name, value in row.items() if name != "observed_at"}
        for row in await sql.fetch("select * from users order by clerk_id")
    ]


async def versions(sql: Sql) -> set[Any]:
    """The transaction that wrote each row, which shows every write."""
    return set(map(tuple, await sql.fetch("select clerk_id, xmin from users")))


CORRUPTIONS = (
    "email = 'corrupted@example.com', banned = true",
    'first_name = null, public_metadata = \'{"plan": "stolen"}\'',
    "clerk_updated_at = clerk_updated_at - interval '1 day', email_verified = false",
    "clerk_created_at = now(), image_url = '', digest = '\\x00', observed_at = now()",
)


async def spoil(clerk: ClerkEmulator, sql: Sql, count: int) -> None:
    """Half of `count` rows are lost; of the others a fifth are stale, a fifth corrupted.

    And some are deleted at Clerk: a fifth, but few enough for the limit.
    """
    ids = ids_of(clerk)[:count]
    await sql.execute("delete from users where clerk_id = any ($1)", ids[::2])
    kept = ids[1::2]
    fifth = len(kept) // 5
    for user_id in kept[:fifth]:
        clerk.update_user(user_id, first_name="Newer")
    for number, corruption in enumerate(CORRUPTIONS):
        corrupted = kept[fifth + number : 2 * fifth : len(CORRUPTIONS)]
        await sql.execute(f"update users set {corruption} where clerk_id = any ($1)", corrupted)
    for user_id in kept[2 * fifth :][: min(fifth, max(20, count // 250))]:
        clerk.delete_user(user_id)

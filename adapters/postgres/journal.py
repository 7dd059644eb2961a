"""What arrived and what it did."""

from adapters.postgres.database import Connection, Database
from adapters.postgres.statements import LOCK_USERS, QUARANTINE, QUARANTINED
from domain.observation import UnreadableDelivery
from domain.ports import Journal
from domain.user import Source


class PostgresJournal(Journal):
    """The `sync_journal` table, where it is not written along with a user."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def quarantine(self, delivery: UnreadableDelivery) -> None:
        await self._database.run(lambda connection: _quarantine(connection, delivery))

    async def quarantined(self) -> int:
        count: int = await self._database.run(lambda connection: connection.fetchval(QUARANTINED))
        return count


async def _quarantine(connection: Connection, delivery: UnreadableDelivery) -> None:
    async with connection.transaction():
        if delivery.clerk_id is not None:
            # A deletion takes the same lock: its erasure finds this body, or we find the tombstone.
            await connection.fetch(LOCK_USERS, [delivery.clerk_id])
        await connection.execute(
            QUARANTINE,
            delivery.svix_id,
            delivery.event_type,
            delivery.clerk_id,
            Source.WEBHOOK.value,
            delivery.occurred_at,
            delivery.reason,
            delivery.body,
        )

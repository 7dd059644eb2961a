"""Whether webhooks still arrive, by what the journal says and does not say."""

from datetime import datetime, timedelta

from adapters.postgres.database import Database
from adapters.postgres.journal_statements import LAST_DELIVERY, SILENT_USERS
from domain.ports import DeliveryWatch


class PostgresDeliveryWatch(DeliveryWatch):
    """Statements over `sync_journal`, cheap enough for every scrape."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def silent_users(self, after: timedelta) -> int:
        count: int = await self._database.run(lambda session: session.fetchval(SILENT_USERS, after))
        return count

    async def last_delivery_at(self) -> datetime | None:
        moment: datetime | None = await self._database.run(
            lambda session: session.fetchval(LAST_DELIVERY)
        )
        return moment

"""Whether the store's schema is the one this code needs."""

from adapters.postgres.database import Database

HEAD = "0006"
"""The newest revision under `migrations/versions/`. Written here because asking Alembic for it
would cost every start of the service half a second and 30 MB."""


async def at_head(database: Database, wanted: str = HEAD) -> bool:
    """Raises `StorageUnavailable`."""
    applied = await database.run(
        lambda connection: connection.fetchval(
            "select case when to_regclass('alembic_version') is not null then true end"
        )
    )
    if applied is None:
        return False
    revision: str | None = await database.run(
        lambda connection: connection.fetchval("select version_num from alembic_version")
    )
    return revision == wanted

"""Whether the store's schema is the one this code needs."""

from functools import cache
from pathlib import Path

from adapters.postgres.database import Database


@cache
def head() -> str:
    """The newest revision, by the file names under `migrations/versions/`.

    Alembic would know too, but its import takes half a second and 30 MB.
    """
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(file.name[:4] for file in versions.glob("[0-9]*.py"))


async def at_head(database: Database, wanted: str | None = None) -> bool:
    """Whether the schema is at `wanted`, by default the newest revision.

    Raises `StorageUnavailable`.
    """
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
    return revision == (wanted or head())

"""The shop's chain. Its revision is in `alembic_version`; that of clerk-user-sync is elsewhere."""

import asyncio
import os

from adapters.database import engine_at
from adapters.tables import Base
from alembic import context
from clerk_user_sync import ignore_ours
from sqlalchemy import Connection

from adapters import reviews  # noqa: F401 - its table belongs to the metadata


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_object=ignore_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    engine = engine_at(os.environ["DATABASE_URL"])
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())

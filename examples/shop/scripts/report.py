"""`python -m scripts.report`: what each customer who is not deleted has spent, in cents."""

import asyncio
import os

from adapters.database import engine_at
from adapters.tables import SCHEMA
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

SPENT = text(f"""
    select email, sum(cents) as spent
    from {SCHEMA}.users_live join orders on customer_id = users_live.id
    group by users_live.id, email order by email
""")


async def spent(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as connection:
        return {row.email: row.spent for row in await connection.execute(SPENT)}


async def main() -> None:
    engine = engine_at(os.environ["DATABASE_URL"])
    for email, cents in (await spent(engine)).items():
        print(f"{cents / 100:10.2f}  {email}")
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main())

"""A store whose schema is that of an earlier release."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from adapters.postgres.migrate import _run, migrate
from adapters.postgres.servers import Servers
from adapters.postgres.upgrade import step_back
from tests.people import new_id
from tests.postgres_server import temporary_database


@asynccontextmanager
async def behind(postgres_url: str, revision: str) -> AsyncIterator[str]:
    """The address of a store whose schema is at `revision`."""
    async with temporary_database(postgres_url, f"behind_{new_id()}") as url:
        await migrate(url)
        await _run(Servers(url), partial(step_back, revision=revision))
        yield url

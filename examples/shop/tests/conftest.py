from collections.abc import AsyncIterator

import pytest
from adapters.database import engine_at
from adapters.tables import SCHEMA
from alembic_chain import Chain
from clerk_user_sync.testing import EmulatedClerk
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from service.app import create_app


@pytest.fixture(scope="session")
def clerk_database_schema() -> str:
    return SCHEMA


@pytest.fixture(scope="session")
def database_url(clerk_database_url: str) -> str:
    """The database of the tests, with the shop's tables too."""
    Chain(clerk_database_url).run("upgrade", "head")
    return clerk_database_url


@pytest.fixture
def app(database_url: str, clerk: EmulatedClerk) -> FastAPI:
    app = create_app(database_url)
    clerk.connect(app)
    return app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    web = AsyncClient(transport=ASGITransport(app), base_url="http://shop")
    async with app.router.lifespan_context(app), web as client:
        yield client


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = engine_at(database_url)
    yield engine
    await engine.dispose()

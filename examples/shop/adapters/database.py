"""The shop's own engine, beside the pool of clerk-user-sync."""

from collections.abc import AsyncIterator

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine


def engine_at(url: str) -> AsyncEngine:
    """`url` as in `DATABASE_URL`: postgresql://…"""
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://", 1))


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        yield session

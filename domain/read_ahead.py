"""Pages read ahead: the next page is fetched while the current one is processed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

Page = TypeVar("Page")


async def read_ahead(pages: AsyncIterator[Page]) -> AsyncGenerator[Page, None]:
    """The same pages. Close it (`contextlib.aclosing`), or a fetch may outlive its caller."""
    following = _next(pages)
    try:
        while (page := await following) is not None:
            following = _next(pages)
            yield page
    finally:
        following.cancel()
        # Its result does not matter: that page is no longer wanted.
        with suppress(asyncio.CancelledError, Exception):
            await following


def _next(pages: AsyncIterator[Page]) -> "asyncio.Task[Page | None]":
    return asyncio.ensure_future(_page(pages))


async def _page(pages: AsyncIterator[Page]) -> Page | None:
    return await anext(pages, None)

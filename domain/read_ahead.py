"""Fetch the next page while the current one is processed."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import TypeVar

Page = TypeVar("Page")


async def read_ahead(pages: AsyncIterator[Page]) -> AsyncGenerator[Page, None]:
    """The same pages. Close it (`contextlib.aclosing`), or a fetch may outlive the caller."""
    following = _next(pages)
    try:
        while (page := await following) is not None:
            following = _next(pages)
            yield page
    finally:
        following.cancel()
        # This page is no longer needed, nor its error.
        with suppress(asyncio.CancelledError, Exception):
            await following


def _next(pages: AsyncIterator[Page]) -> "asyncio.Task[Page | None]":
    return asyncio.ensure_future(anext(pages, None))

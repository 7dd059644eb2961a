import asyncio
import gc
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def connections_end() -> AsyncIterator[None]:
    """aio-pika closes a connection that failed when it is collected, and needs an event loop."""
    yield
    gc.collect()
    await asyncio.sleep(0)

"""Ending tasks, whatever they run."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN = 1.0
"""Seconds between two cancellations of a task that goes on."""


async def cancel_all(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel the tasks and wait until all have ended.

    A cancellation is lost if a library or a handler swallows it, or a timeout comes at the same
    moment. So it is repeated.
    """
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=AGAIN)

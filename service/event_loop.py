"""Whether something keeps the event loop from its work, and with it every request."""

import asyncio
from collections.abc import Callable

EVERY = 0.5
"""Seconds."""


async def watch_the_event_loop(report: Callable[[float], None], every: float = EVERY) -> None:
    """Reports by how many seconds each pause of `every` seconds was too long. Until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        report(max(0.0, loop.time() - due))

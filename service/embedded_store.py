"""Starts the embedded server again when it dies while the service runs."""

import asyncio
from typing import Protocol

from structlog.typing import FilteringBoundLogger

EVERY = 1.0
"""Seconds between two looks at the server."""


class Server(Protocol):
    """Both methods block."""

    def is_running(self) -> bool: ...

    def restart(self) -> None: ...


async def keep_running(
    server: Server,
    unavailable: type[Exception],
    log: FilteringBoundLogger,
    every: float = EVERY,
) -> None:
    """Runs until it is cancelled. `unavailable` is what a failed `restart` raises.

    The server is killed by a signal, or by the system when memory runs out: both pass, so a restart
    that fails is tried again. Requests are answered 503 meanwhile.
    """
    while True:
        await asyncio.sleep(every)
        if await asyncio.to_thread(server.is_running):
            continue
        try:
            await asyncio.to_thread(server.restart)
        except unavailable as error:
            log.error("embedded_postgres_down", cause=str(error))  # noqa: TRY400 - no traceback
        else:
            log.warning("embedded_postgres_restarted")

"""`clerk-user-sync work`: handle changes until a signal stops it."""

import asyncio
import signal
import sys

from service.bootstrap.work import working
from service.changes import Changes
from service.deliveries import load_handlers
from service.log import line_logger
from service.log_writer import LogWriter
from service.settings import Settings

_STOPS = ("SIGTERM", "SIGINT", "SIGHUP")


def handlers_of(settings: Settings) -> Changes:
    """The handlers that CHANGE_HANDLERS names; none where changes go elsewhere only.

    Raises `ValueError` with words for the operator.
    """
    if settings.change_handlers is None:
        if settings.sends_changes:
            return Changes()
        raise ValueError("CHANGE_HANDLERS: missing; give module:name of a Changes")
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: an application in this directory is found
    try:
        return load_handlers(settings.change_handlers)
    except ValueError as error:
        raise ValueError(f"CHANGE_HANDLERS: {error}") from error


async def work(settings: Settings, changes: Changes, lines: LogWriter) -> None:
    """Handle changes until SIGTERM, Ctrl-C or a closed terminal. Raises `StorageUnavailable`."""
    log = line_logger(settings.log_level, settings.log_format, lines)
    stopped = asyncio.Event()
    for name in _STOPS:
        if (number := getattr(signal, name, None)) is not None:
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with working(settings, changes, log) as names:
        log.info("working", subscriptions=names)
        await stopped.wait()
        log.info("stopping")
    lines.flush()

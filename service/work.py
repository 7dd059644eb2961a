"""`clerk-user-sync work`: handle changes until a signal stops it."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from service.app import metrics_app
from service.bootstrap.tracing import traces_of
from service.bootstrap.work import working
from service.changes import Changes
from service.deliveries import load_handlers
from service.edge.listening import listening_sockets
from service.extras import extra
from service.log import line_logger
from service.log_writer import LogWriter
from service.metrics import Metrics
from service.services import Worker, attach
from service.settings import Settings
from service.signals import at_signal, hangup


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
    """Handle changes until SIGTERM, Ctrl-C or a hangup. METRICS_PORT is served meanwhile.

    Raises `StorageUnavailable`, `CannotListen` and `MissingExtra`.
    """
    sockets: Sequence[socket.socket] = ()
    if settings.metrics_port is not None:
        sockets = listening_sockets(settings.host, settings.metrics_port, "METRICS_PORT")
    log = line_logger(settings.log_level, settings.log_format, lines)
    metrics = Metrics()
    metrics.watch_log(lines)
    traces = traces_of(settings)
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, hangup()):
        if number is not None:
            at_signal(number, stopped.set)
    async with (
        working(settings, changes, metrics, log, traces) as worker,
        _serving_metrics(worker, settings, sockets),
    ):
        log.info("working", subscriptions=[*worker.subscriptions])
        await stopped.wait()
        log.info("stopping")
        worker.readiness.drain()
        await worker.stop()  # before the port is closed: liveness is answered until the end
    if traces is not None:
        await asyncio.to_thread(traces.close)
    lines.flush()


@asynccontextmanager
async def _serving_metrics(
    worker: Worker, settings: Settings, sockets: Sequence[socket.socket]
) -> AsyncIterator[None]:
    """Serve the worker's metrics and readiness on these sockets while the block runs."""
    if not sockets:
        yield
        return
    with extra("server", "METRICS_PORT"):
        from service.edge.server import serving_metrics  # noqa: PLC0415 - only the extra has uvicorn
    app = metrics_app()
    attach(app, worker)
    async with serving_metrics(app, settings, sockets):
        yield

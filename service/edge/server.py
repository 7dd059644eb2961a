"""uvicorn with a graceful stop: become unready, finish the requests in hand, exit 0."""

import asyncio
import signal
import socket
import threading
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import cast

import uvicorn
from fastapi import FastAPI

from service.edge.account import Edge
from service.edge.budget import METRICS_CONNECTIONS, Budget, budget_of_this_process
from service.edge.listening import listening_sockets
from service.edge.protocol import EdgeProtocol
from service.services import services_of
from service.settings import Settings
from service.signals import hangup


def serve(app: FastAPI, settings: Settings, metrics: FastAPI) -> None:
    """Serve until a signal stops it, and serve `metrics` if METRICS_PORT is set.

    Raises `CannotListen`, or `StorageUnavailable` if the store cannot be opened.
    """
    sockets = listening_sockets(settings.host, settings.port)
    beside = []
    if settings.metrics_port is not None:
        others = listening_sockets(settings.host, settings.metrics_port, "METRICS_PORT")
        beside.append((_metrics_config(metrics, settings), others))
    edge = Edge(budget_of_this_process(settings.database_pool_size))
    config = server_config(app, settings, edge)
    DrainingServer(config, app, settings.drain_seconds, beside).run([*sockets])


def server_config(app: FastAPI, settings: Settings, edge: Edge) -> uvicorn.Config:
    """Settings of uvicorn. All limits come from the budget; uvicorn's own are off."""
    return uvicorn.Config(
        app,
        root_path=settings.root_path,
        lifespan="off",
        http=cast("type[asyncio.Protocol]", partial(EdgeProtocol, edge=edge)),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=edge.budget.idle_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def _metrics_config(metrics: FastAPI, settings: Settings) -> uvicorn.Config:
    """Settings of uvicorn for METRICS_PORT, with a budget for a few scrapers and probes."""
    config = server_config(metrics, settings, Edge(Budget(connections=METRICS_CONNECTIONS)))
    config.root_path = ""
    return config


class DrainingServer(uvicorn.Server):
    """Becomes unready at the first signal, and stops accepting `drain_seconds` later.

    The servers of `beside` start before it and stop after it, so that readiness is always answered.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        app: FastAPI,
        drain_seconds: float,
        beside: Sequence[tuple[uvicorn.Config, Sequence[socket.socket]]] = (),
    ) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._beside = beside
        self._draining = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Enter the lifespan here: uvicorn would log an error in it as a traceback."""
        with self.capture_signals():
            async with self._app.router.lifespan_context(self._app), AsyncExitStack() as stack:
                for config, sockets_beside in self._beside:
                    await stack.enter_async_context(_serving(config, sockets_beside))
                await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Also handle the hangup."""
        number = hangup()
        with super().capture_signals():
            if number is None or threading.current_thread() is not threading.main_thread():
                yield
                return
            before = signal.signal(number, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(number, before)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain at the first signal. Each further one ends a wait: for `drain_seconds`, if they are
        not over, and then for the requests in hand.

        The base class would record the signal and raise it again at the end. It is not recorded
        here, so the process exits with 0 (docs/decisions/0007-to-stop-when-asked-is-success.md).
        """
        del sig, frame
        if self._draining or not self.started:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self._draining = True
        services_of(self._app).readiness.drain()
        asyncio.get_running_loop().call_later(self._drain_seconds, self._stop_accepting)

    def _stop_accepting(self) -> None:
        self.should_exit = True


@asynccontextmanager
async def serving_metrics(
    metrics: FastAPI, settings: Settings, sockets: Sequence[socket.socket]
) -> AsyncIterator[None]:
    """Serve METRICS_PORT while the block runs, beside work that serves nothing else."""
    async with _serving(_metrics_config(metrics, settings), sockets):
        yield


class _Beside(uvicorn.Server):
    """A second server of this process, which leaves the signals to the first."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def _serving(config: uvicorn.Config, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Serve another port while the block runs."""
    server = _Beside(config)
    serving = asyncio.create_task(server.serve([*sockets]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving

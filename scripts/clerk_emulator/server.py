"""The emulator served over HTTP by uvicorn, in the running event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.clerk_emulator.config import Clock, EmulatorConfig
from scripts.clerk_emulator.emulator import ClerkEmulator
from scripts.clerk_emulator.instance import system_clock


def listen(config: EmulatorConfig) -> tuple[socket.socket, EmulatorConfig]:
    """A listening socket, and the config with the port it got. `OSError` if it is taken."""
    listener = socket.create_server((config.host, config.port))
    # Else an answer's body waits for the head to be acknowledged, which takes the caller 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener, replace(config, port=listener.getsockname()[1])


class EmulatorServer:
    """Serves an emulator at the address of its config."""

    def __init__(self, emulator: ClerkEmulator) -> None:
        self.emulator = emulator
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Returns when connections are answered."""
        server = _Server(
            uvicorn.Config(
                self.emulator.app,
                access_log=False,
                date_header=False,
                lifespan="off",
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=1,
                ws="none",
            )
        )
        self._server = server
        self._serving = asyncio.create_task(server.serve([listener]))
        await server.answering.wait()

    async def stop(self) -> None:
        """Closes every connection; what is still being answered has a second."""
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await self._serving

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """Meanwhile connections to the address are refused. Webhooks are still sent."""
        await self.stop()
        try:
            yield
        finally:
            listener, _ = listen(self.emulator.config)
            await self.start(listener)


@asynccontextmanager
async def running_server(
    config: EmulatorConfig | None = None,
    *,
    clock: Clock = system_clock,
    signing_key: rsa.RSAPrivateKey | None = None,
) -> AsyncIterator[EmulatorServer]:
    """An emulator that answers and sends, on a free port of loopback unless told otherwise."""
    listener, bound = listen(config or EmulatorConfig())
    emulator = ClerkEmulator(bound, clock=clock, signing_key=signing_key)
    server = EmulatorServer(emulator)
    await server.start(listener)
    await emulator.start()
    try:
        yield server
    finally:
        emulator.faults.clear()  # or whoever is held would be waited for
        await emulator.stop()
        await server.stop()


@asynccontextmanager
async def running_emulator(
    config: EmulatorConfig | None = None,
    *,
    clock: Clock = system_clock,
    signing_key: rsa.RSAPrivateKey | None = None,
) -> AsyncIterator[ClerkEmulator]:
    """As `running_server`, for those who need no outage."""
    async with running_server(config, clock=clock, signing_key=signing_key) as server:
        yield server.emulator


class _Server(uvicorn.Server):
    """Says when it answers, and leaves the process's signals to the process."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

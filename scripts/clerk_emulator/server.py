"""The emulator on a port, served by uvicorn in the running event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.clerk_emulator.config import Clock, EmulatorConfig, system_clock
from scripts.clerk_emulator.emulator import ClerkEmulator


def listen(config: EmulatorConfig) -> tuple[socket.socket, EmulatorConfig]:
    """A listening socket, and the config with its port. Raises `OSError` if the port is taken."""
    listener = socket.create_server((config.host, config.port))
    # Without it the body of an answer waits for the acknowledgement of its head: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener, replace(config, port=listener.getsockname()[1])


@asynccontextmanager
async def serving(emulator: ClerkEmulator, listener: socket.socket) -> AsyncIterator[None]:
    """Answer on `listener` and send webhooks, until the block ends."""
    server = AnsweringServer(
        uvicorn.Config(
            emulator.app,
            access_log=False,
            date_header=False,
            lifespan="off",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
    )
    running = asyncio.create_task(server.serve([listener]))
    await server.answering.wait()
    await emulator.start()
    try:
        yield
    finally:
        await emulator.stop()
        server.should_exit = True
        await running


@asynccontextmanager
async def running_emulator(
    config: EmulatorConfig | None = None,
    *,
    clock: Clock = system_clock,
    signing_key: rsa.RSAPrivateKey | None = None,
) -> AsyncIterator[ClerkEmulator]:
    """An emulator that answers and sends webhooks; on a free port of loopback by default.

    Synchronous code runs it in a thread, through anyio's `start_blocking_portal`. If it has
    endpoints, changes are made through the portal too: `portal.call(clerk.delete_user, user_id)`.
    """
    listener, bound = listen(config or EmulatorConfig())
    emulator = ClerkEmulator(bound, clock=clock, signing_key=signing_key)
    async with serving(emulator, listener):
        yield emulator


class AnsweringServer(uvicorn.Server):
    """Sets `answering` once it answers, and leaves the signal handlers of the process alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answering.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

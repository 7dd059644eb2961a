"""The services that are compared, each one process with ten connections to the store."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

NODE = Path(__file__).parent / "peers" / "node"
PATIENCE = 30.0


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A service. `name` is short, for tables; `words` describes it."""

    name: str
    words: str
    command: tuple[str, ...]


OURS = Contestant(name="ours", words="python -m service", command=(sys.executable, "-m", "service"))
PLAIN = Contestant(
    name="plain",
    words="raw ASGI, asyncpg pool, PyJWT, svix, our statements, nothing else",
    command=(sys.executable, "-m", "bench.peers.plain"),
)
TUTORIAL = Contestant(
    name="tutorial",
    words="FastAPI, svix, a SQLModel session, fastapi-clerk-auth",
    command=(sys.executable, "-m", "bench.peers.tutorial"),
)
NAIVE = Contestant(
    name="naive",
    words="asks Clerk and upserts on every request",
    command=(sys.executable, "-m", "bench.peers.naive"),
)
NODE_OFFICIAL = Contestant(
    name="node", words="fastify, @clerk/fastify, pg", command=("node", str(NODE / "official.js"))
)
NODE_TUNED = Contestant(
    name="node tuned", words="node:http, node:crypto, pg", command=("node", str(NODE / "tuned.js"))
)

ALONE = (OURS, PLAIN)
EVERYBODY = (OURS, PLAIN, NODE_OFFICIAL, NODE_TUNED, TUTORIAL, NAIVE)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service that is running."""

    contestant: Contestant
    port: int
    pid: int


@asynccontextmanager
async def running(contestant: Contestant, environment: Mapping[str, str]) -> AsyncIterator[Running]:
    """Start the service, and stop it at the end. Raises `RuntimeError` if it does not answer."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *contestant.command,
        env={**os.environ, **environment, "PORT": str(port), "NODE_ENV": "production"},
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await _answers(contestant, process, port)
        yield Running(contestant=contestant, port=port, pid=process.pid)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def _answers(contestant: Contestant, process: asyncio.subprocess.Process, port: int) -> None:
    async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE):
        while process.returncode is None:
            try:
                await client.get(f"http://127.0.0.1:{port}/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    raise RuntimeError(f"{contestant.name} ended with {process.returncode} before it answered")

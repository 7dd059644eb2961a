"""The service as a process, configured by environment variables."""

import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.messages import Message
from tests.running import bearer, svix_headers

ROOT = Path(__file__).parents[2]
STARTS_WITHIN = 90.0
"""Seconds. A start takes two or three; on a busy machine, thirty."""
PATIENCE = 60.0
"""Seconds after which a test stops waiting. No promise of the service depends on them."""


class ServiceProcess:
    """One `python -m service`. It runs in `directory`, where there is no `.env`.

    `module` is another module that starts the same service, `command` another of its commands.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        directory: Path,
        module: str = "service",
        command: str = "serve",
    ) -> None:
        self._module = module
        self._command = command
        self._reserved = reserved_port()
        self.port = self._reserved.number
        self.probed = environment.get("METRICS_PORT", str(self.port))
        """The port with `/readyz`."""
        self.secret = environment["CLERK_WEBHOOK_SIGNING_SECRET"]
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LOG_FORMAT": "json",
            "PORT": str(self.port),
            **environment,
        }
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.ready_since = math.inf
        self.url = f"http://127.0.0.1:{self.port}"
        self.webhook_url = f"{self.url}/webhooks/clerk"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=30, limits=_NO_LIMITS)

    def spawn(self) -> None:
        """Start the process. A restarted process has the same port."""
        with self._stdout.open("ab") as stdout, self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, self._command],
                cwd=self._directory,
                env=self._environment,
                stdout=stdout,
                stderr=stderr,
            )

    async def start(self) -> None:
        """Spawn it, and wait until it is ready."""
        self.spawn()
        await eventually(self.is_ready, STARTS_WITHIN)
        self.ready_since = time.monotonic()

    async def is_ready(self) -> bool:
        assert self._running.poll() is None, f"it ended: {self.log()[-3:]} {self.stderr}"
        return await self.status(f"http://127.0.0.1:{self.probed}/readyz") == 200

    async def status(self, path: str) -> int | None:
        """The status of a GET; None without an answer."""
        try:
            return (await self.http.get(path)).status_code
        except httpx.HTTPError:
            return None

    async def me(self, token: str) -> httpx.Response:
        return await self.http.get("/v1/me", headers=bearer(token))

    async def deliver(self, message: Message) -> httpx.Response:
        """Post it once, as Svix does."""
        headers = svix_headers(self.secret, message.body, svix_id=message.svix_id)
        return await self.http.post("/webhooks/clerk", content=message.body, headers=headers)

    def send_signal(self, number: signal.Signals) -> None:
        self._running.send_signal(number)

    async def ended(self, seconds: float = 30.0) -> int:
        """Wait for its end; the exit status. Raises `subprocess.TimeoutExpired`."""
        return await asyncio.to_thread(self._running.wait, seconds)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.send_signal(signal.SIGKILL)
        await self.ended()

    async def close(self) -> None:
        """Kill the process if it runs, and release its port."""
        if self._process is not None:
            await self.kill()
        self._reserved.give_back()
        await self.http.aclose()

    def log(self) -> list[dict[str, Any]]:
        """Its log lines. The last line of a killed process may be incomplete; it is left out."""
        lines = self._stdout.read_bytes().splitlines(keepends=True)
        return [orjson.loads(line) for line in lines if line.endswith(b"}\n")]

    @property
    def memory(self) -> int:
        """Its resident memory in bytes."""
        pages = int(Path(f"/proc/{self._running.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def descriptors(self) -> int:
        """The number of its open files and connections."""
        return sum(1 for _ in Path(f"/proc/{self._running.pid}/fd").iterdir())

    @property
    def stdout(self) -> str:
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, "not started"
        return self._process

    @property
    def _stdout(self) -> Path:
        return self._directory / f"{self.port}.out"

    @property
    def _stderr(self) -> Path:
        return self._directory / f"{self.port}.err"


_NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)


def environment_for(clerk: ClerkEmulator, database_url: str, **settings: str) -> dict[str, str]:
    """Environment variables for this emulator, this store and more `settings`."""
    return {
        **clerk.config.environment(),
        "DATABASE_URL": database_url,
        "MIGRATE_ON_START": "1",
        "CLERK_RATE_LIMIT": "10000",
        **settings,
    }


@asynccontextmanager
async def running_processes(
    *environments: Mapping[str, str], directory: Path
) -> AsyncIterator[list[ServiceProcess]]:
    """One service for each environment: started together, ready, and killed after the block."""
    services = [ServiceProcess(environment, directory) for environment in environments]
    try:
        await asyncio.gather(*(service.start() for service in services))
        yield services
    finally:
        for service in services:
            await service.close()


@asynccontextmanager
async def running_process(
    environment: Mapping[str, str], directory: Path
) -> AsyncIterator[ServiceProcess]:
    """One service, ready, and killed after the block."""
    async with running_processes(environment, directory=directory) as (service,):
        yield service


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], seconds: float = PATIENCE
) -> float:
    """Wait until the condition holds; the seconds it took. Raises `AssertionError` after `seconds`.

    Only for conditions that stay true: on a busy machine, seconds pass between two looks.
    """
    started = time.monotonic()
    while not await _holds(condition):
        took = time.monotonic() - started
        assert took < seconds, f"{condition.__qualname__} did not hold within {seconds} s"
        await asyncio.sleep(0.02)
    return time.monotonic() - started


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = condition()
    return answer if isinstance(answer, bool) else await answer


@dataclass(frozen=True)
class ReservedPort:
    """A loopback port that the system gives to no other process."""

    number: int
    _holder: socket.socket

    def give_back(self) -> None:
        self._holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()


def reserved_port() -> ReservedPort:
    """A port on which a server of ours can listen repeatedly: both sockets set `SO_REUSEADDR`.

    Only Linux allows that. Elsewhere it is a port that was free a moment ago.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    reserved = ReservedPort(holder.getsockname()[1], holder)
    if sys.platform != "linux":
        reserved.give_back()
    return reserved

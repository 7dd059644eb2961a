"""The time of an unknown user's first request, less Clerk's own time."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import TypeAlias

from rich.table import Table

from bench.contestants import Running
from scripts.clerk_emulator import ClerkEmulator

USERS = 30
"""Users in a round. Each is unknown only once."""

Line: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def compare(ours: Running, clerk: ClerkEmulator, rounds: int) -> Table:
    """In ms: the median first request, the median of direct calls to Clerk, and the difference."""
    beyond, direct, first = [], [], []
    async with _line(ours.port) as service, _line(clerk.config.port) as api:
        for _ in range(rounds):
            people = _strangers(clerk)
            fetches = [_get(f"/v1/users/{one}", clerk.config.secret_key) for one in people]
            requests = [_get("/v1/me", clerk.session_token(one)) for one in people]
            direct.append(await _middle(api, fetches))
            first.append(await _middle(service, requests))
            beyond.append(first[-1] - direct[-1])
    return _table(direct, first, beyond)


def _strangers(clerk: ClerkEmulator) -> list[str]:
    known = {user.id for user in clerk.users}
    clerk.create_users(USERS)
    return [user.id for user in clerk.users if user.id not in known]


def _get(path: str, bearer: str) -> bytes:
    head = (f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {bearer}")
    return "\r\n".join((*head, "", "")).encode()


@asynccontextmanager
async def _line(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def _middle(line: Line, requests: Sequence[bytes]) -> float:
    waited = []
    for request in requests:
        started = time.perf_counter()
        await _ask(line, request)
        waited.append((time.perf_counter() - started) * 1000)
    return median(waited)


async def _ask(line: Line, request: bytes) -> None:
    """Call Clerk without a client library, whose time would count as Clerk's."""
    reader, writer = line
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: ([0-9]+)", head, re.IGNORECASE)
    if not head.startswith(b"HTTP/1.1 200 ") or length is None:
        raise RuntimeError(f"not answered: {head.decode()}")
    await reader.readexactly(int(length[1]))


def _table(direct: list[float], first: list[float], beyond: list[float]) -> Table:
    shown = Table(title="first request of an unknown user, ms", title_justify="left")
    for heading in ("Clerk itself", "first request", "beyond Clerk (least-most)"):
        shown.add_column(heading, justify="right")
    spread = f"{median(beyond):.1f} ({min(beyond):.1f}-{max(beyond):.1f})"
    shown.add_row(f"{median(direct):.1f}", f"{median(first):.1f}", spread)
    return shown

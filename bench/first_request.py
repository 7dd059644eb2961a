"""What a user nobody has seen waits for their first answer, beyond Clerk's own time."""

import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from typing import TypeVar

import httpx
from rich.table import Table

from bench.contestants import Running
from scripts.clerk_emulator import ClerkEmulator

One = TypeVar("One")

USERS = 30
"""A round. Each can be unknown only once."""


async def compare(ours: Running, clerk: ClerkEmulator, rounds: int) -> Table:
    """In ms: the median first request, Clerk asked directly for the same users, the difference."""
    beyond, direct, first = [], [], []
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{ours.port}") as service,
        httpx.AsyncClient(base_url=clerk.config.url, headers=_key(clerk)) as api,
    ):
        for _ in range(rounds):
            people = _strangers(clerk)
            sessions = [_signed_in(clerk, one) for one in people]
            direct.append(await _middle(people, lambda one: api.get(f"/v1/users/{one}")))
            first.append(await _middle(sessions, lambda one: service.get("/v1/me", headers=one)))
            beyond.append(first[-1] - direct[-1])
    return _table(direct, first, beyond)


def _strangers(clerk: ClerkEmulator) -> list[str]:
    known = {user.id for user in clerk.users}
    clerk.create_users(USERS)
    return [user.id for user in clerk.users if user.id not in known]


async def _middle(ones: Sequence[One], ask: Callable[[One], Awaitable[httpx.Response]]) -> float:
    waited = []
    for one in ones:
        started = time.perf_counter()
        answer = await ask(one)
        waited.append((time.perf_counter() - started) * 1000)
        answer.raise_for_status()
    return median(waited)


def _key(clerk: ClerkEmulator) -> dict[str, str]:
    return {"Authorization": f"Bearer {clerk.config.secret_key}"}


def _signed_in(clerk: ClerkEmulator, user_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {clerk.session_token(user_id)}"}


def _table(direct: list[float], first: list[float], beyond: list[float]) -> Table:
    shown = Table(title="first request of an unknown user, ms", title_justify="left")
    for heading in ("Clerk itself", "first request", "beyond Clerk (least-most)"):
        shown.add_column(heading, justify="right")
    spread = f"{median(beyond):.1f} ({min(beyond):.1f}-{max(beyond):.1f})"
    shown.add_row(f"{median(direct):.1f}", f"{median(first):.1f}", spread)
    return shown

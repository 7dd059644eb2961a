"""Handlers for the tests. Each writes its effect with a plain connection.

They are in a file of their own, because they run in processes that are killed.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Any

import asyncpg

from domain.changes import Change
from domain.user import LocalUser
from service.changes import Changes, SourceName
from tests.e2e.effects import Fact, note_effect

EVERY_SOURCE: Sequence[SourceName] = ("webhook", "jit", "backfill", "replay", "reconcile")
USUAL_SOURCES: Sequence[SourceName] = ("webhook", "jit", "replay", "reconcile")
UNLUCKY = "user_unlucky"

changes = Changes()
_pool: "asyncpg.Pool[Any] | None" = None
_QUICK = (0.2, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)


async def _note(name: str, change: Change, user: LocalUser | None) -> None:
    global _pool  # noqa: PLW0603 - one pool for the process
    if _pool is None:
        _pool = await asyncpg.create_pool(os.environ["EFFECTS_URL"], min_size=1, max_size=4)
    fact = Fact(change.position, change.kind)
    await note_effect(
        _pool, name, fact, change.clerk_id, has_record=user is not None, pid=os.getpid()
    )


@changes.on(name="steady", begin="oldest", sources=EVERY_SOURCE)
async def steady(change: Change, user: LocalUser | None) -> None:
    await _note("steady", change, user)


@changes.on(name="moody", begin="oldest", deadline=1, pauses=_QUICK)
async def moody(change: Change, user: LocalUser | None) -> None:
    """Fails now and then, is slow now and then, and never works for one user."""
    if change.clerk_id == UNLUCKY or random.random() < 0.05:
        raise RuntimeError("secret@example.com")
    if random.random() < 0.02:
        await asyncio.sleep(3600)
    await _note("moody", change, user)

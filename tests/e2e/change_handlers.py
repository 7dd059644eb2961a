"""Handlers for the tests. Every effect is a row of `effects`, written by a plain connection.

They are in a file of their own, because they run in processes that are killed.
"""

import asyncio
import os
import random
from typing import Any

import asyncpg

from domain.changes import Change
from domain.user import LocalUser
from service.changes import Changes

EFFECTS = """
create table effects (
    id bigint generated always as identity, subscription text, position bigint, clerk_id text,
    kind text, has_record boolean, pid integer
)
"""

changes = Changes()
_pool: "asyncpg.Pool[Any] | None" = None
_QUICK = (0.2, 0.3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)


async def _note(name: str, change: Change, user: LocalUser | None) -> None:
    global _pool  # noqa: PLW0603 - one pool for the process
    if _pool is None:
        _pool = await asyncpg.create_pool(os.environ["EFFECTS_URL"], min_size=1, max_size=4)
    await _pool.execute(
        "insert into effects (subscription, position, clerk_id, kind, has_record, pid) "
        "values ($1, $2, $3, $4, $5, $6)",
        name,
        change.position,
        change.clerk_id,
        change.kind,
        user is not None,
        os.getpid(),
    )


@changes.on(name="steady", begin="oldest", sources=("webhook", "jit", "backfill", "reconcile"))
async def steady(change: Change, user: LocalUser | None) -> None:
    await _note("steady", change, user)


@changes.on(name="moody", begin="oldest", deadline=1, pauses=_QUICK)
async def moody(change: Change, user: LocalUser | None) -> None:
    """Fails now and then, is slow now and then, and never works for one user."""
    if change.clerk_id.endswith("unlucky") or random.random() < 0.05:
        raise RuntimeError("secret@example.com")
    if random.random() < 0.02:
        await asyncio.sleep(3600)
    await _note("moody", change, user)

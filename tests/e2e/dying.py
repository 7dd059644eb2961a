"""Runs one scene after the other, each in a forked process that is killed at a chosen step.

Everything is imported and built before the first fork, so that each run is cheap. Reads one scene
as JSON from each line of stdin, and prints the exit code of its process.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from domain.changes import Change
from domain.ports import IdentityProvider, UserPage
from domain.user import LocalUser, User, UserId
from service.app import create_app
from service.bootstrap import operations
from service.bootstrap.work import working
from service.changes import Changes
from service.log import line_logger
from service.metrics import Metrics
from service.settings import Settings
from tests.commands.scenes import backfill_of
from tests.e2e.fuse import Fuse
from tests.running import WEBHOOKS, bearer, client_of, svix_headers

PAGE = 2
LONGER_THAN_A_SAVE = 0.15
"""Seconds that a handler takes, so that progress is saved while it works."""


class SmallPages(IdentityProvider):
    """Cuts Clerk's pages into small ones, so that a few users fill several."""

    def __init__(self, clerk: IdentityProvider) -> None:
        self._clerk = clerk

    async def fetch(self, user_id: UserId) -> User | None:
        return await self._clerk.fetch(user_id)

    async def instance_ids(self) -> frozenset[str]:
        return await self._clerk.instance_ids()

    async def count(self) -> int:
        return await self._clerk.count()

    def newest_first(self) -> AsyncIterator[UserPage]:
        return self._clerk.newest_first()

    async def pages(self, *, starting_after: UserId | None = None) -> AsyncIterator[UserPage]:
        async for page in self._clerk.pages(starting_after=starting_after):
            for first in range(0, len(page.users), PAGE):
                yield replace(page, users=page.users[first : first + PAGE])


@dataclass(frozen=True)
class Stage:
    """What every scene starts from. The application is built and not started."""

    settings: Settings
    app: FastAPI


async def webhook(stage: Stage, fuse: Fuse, told: Mapping[str, str]) -> None:
    """Post a delivery as Svix does."""
    secret = stage.settings.clerk_webhook_signing_secret[0].get_secret_value()
    body = told["body"].encode()
    headers = svix_headers(secret, body, svix_id=told["svix_id"])
    await ask(stage, fuse, lambda http: http.post(WEBHOOKS, content=body, headers=headers))


async def request(stage: Stage, fuse: Fuse, told: Mapping[str, str]) -> None:
    """The first request of a user."""
    await ask(stage, fuse, lambda http: http.get("/v1/me", headers=bearer(told["token"])))


async def backfill(stage: Stage, fuse: Fuse, _: Mapping[str, str]) -> None:
    """What the `backfill` command does, without its terminal output."""
    async with operations(stage.settings) as available:
        work = backfill_of(available, identity_provider=SmallPages(available.clerk.bulk))
        fuse.light()
        await asyncio.create_task(work.run(lambda _outcomes, _left_out: None))


async def handler(stage: Stage, fuse: Fuse, told: Mapping[str, str]) -> None:
    """A worker with a handler, which appends its effects to a file."""
    changes = Changes()

    @changes.on(name="crm", begin="oldest", pauses=(0.01,) * 3)
    async def crm(change: Change, _user: LocalUser | None) -> None:
        await asyncio.sleep(LONGER_THAN_A_SAVE)
        attempt(change, Path(told["effects"]), fails_at_first=told["fails_at_first"] == "yes")

    settings = stage.settings.model_copy(update={"changes_push": ()})
    await work(settings, changes, fuse, told["store"])


def attempt(change: Change, effects: Path, *, fails_at_first: bool) -> None:
    line = f"{change.clerk_id} {change.position} {change.kind}\n"
    failure = f"failed {line}"
    fails = fails_at_first and failure not in effects.read_text()
    with effects.open("a") as file:
        file.write(failure if fails else line)
    if fails:
        raise RuntimeError


async def push(stage: Stage, fuse: Fuse, told: Mapping[str, str]) -> None:
    """A worker that pushes to the endpoint of its settings."""
    await work(stage.settings, Changes(), fuse, told["store"])


async def work(settings: Settings, changes: Changes, fuse: Fuse, store: str) -> None:
    """Deliver all that there is. The looks at the store are no steps."""
    sql = await asyncpg.connect(store)
    log, ended = line_logger("error", "json", sys.stderr), asyncio.Event()
    fuse.light()

    async def deliver() -> None:
        async with working(settings, changes, Metrics(), log):
            await ended.wait()

    delivering = asyncio.create_task(deliver())
    while not delivering.done() and not await sql.fetchval(ALL_DELIVERED):
        await asyncio.sleep(0.02)
    ended.set()
    await delivering


ALL_DELIVERED = """
select position = (select count(*) from user_changes)
    and not exists (select from user_changes_set_aside)
from user_change_subscriptions
"""


async def ask(
    stage: Stage,
    fuse: Fuse,
    question: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]],
) -> None:
    async with stage.app.router.lifespan_context(stage.app), client_of(stage.app) as http:
        while (await http.get("/v1/me", headers=bearer("x"))).status_code == 503:
            await asyncio.sleep(0.01)  # the signing keys are not loaded yet
        fuse.light()
        answer = await asyncio.create_task(_awaited(question(http)))
        assert answer.status_code < 300, answer.text


async def _awaited(answer: Awaitable[httpx.Response]) -> httpx.Response:
    return await answer


SCENES = {scene.__name__: scene for scene in (webhook, request, backfill, handler, push)}


def main(settings: Settings) -> None:
    stage = Stage(settings, create_app(settings))
    for line in sys.stdin:
        print(play(stage, json.loads(line)), flush=True)


def play(stage: Stage, told: Mapping[str, Any]) -> int:
    """The exit code of the forked process, negative for a signal."""
    child = os.fork()
    if child == 0:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        asyncio.run(SCENES[told["scene"]](stage, Fuse(told["step"]), told))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main(Settings(_env_file=None))

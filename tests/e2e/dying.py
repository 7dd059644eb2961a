"""Plays one scene after the other, each in a fork of its own that dies at the step it is told.

Everything is imported and made before the first fork, so that a death costs little. Reads one
scene a line, and says for each whether it was played to its end.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from domain.ports import IdentityProvider, UserPage
from domain.user import User, UserId
from service.app import create_app
from service.bootstrap import operations
from service.settings import Settings
from tests.commands.scenes import backfill_of
from tests.e2e.fuse import Fuse
from tests.running import WEBHOOKS, bearer, client_of, svix_headers

PAGE = 2


class SmallPages(IdentityProvider):
    """Clerk's own pages, cut so small that a handful of users fills several."""

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
                yield UserPage(users=page.users[first : first + PAGE])


@dataclass(frozen=True)
class Stage:
    """What every scene begins with. The application is made, and not yet started."""

    settings: Settings
    app: FastAPI


async def webhook(stage: Stage, fuse: Fuse, told: Mapping[str, str]) -> None:
    """A delivery, as Svix posts it."""
    secret = stage.settings.clerk_webhook_signing_secret[0].get_secret_value()
    body = told["body"].encode()
    headers = svix_headers(secret, body, svix_id=told["svix_id"])
    await ask(stage, fuse, lambda http: http.post(WEBHOOKS, content=body, headers=headers))


async def request(stage: Stage, fuse: Fuse, told: Mapping[str, str]) -> None:
    """Somebody's first request."""
    await ask(stage, fuse, lambda http: http.get("/v1/me", headers=bearer(told["token"])))


async def backfill(stage: Stage, fuse: Fuse, _: Mapping[str, str]) -> None:
    """The operator's command, but for its terminal."""
    async with operations(stage.settings) as available:
        work = backfill_of(available, identity_provider=SmallPages(available.clerk.bulk))
        fuse.light()
        await asyncio.create_task(work.run(lambda _outcomes, _left_out: None))


async def ask(
    stage: Stage,
    fuse: Fuse,
    question: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]],
) -> None:
    async with stage.app.router.lifespan_context(stage.app), client_of(stage.app) as http:
        while (await http.get("/v1/me", headers=bearer("x"))).status_code == 503:
            await asyncio.sleep(0.01)  # no signing keys yet
        fuse.light()
        answer = await asyncio.create_task(_awaited(question(http)))
        assert answer.status_code < 300, answer.text


async def _awaited(answer: Awaitable[httpx.Response]) -> httpx.Response:
    return await answer


SCENES = {scene.__name__: scene for scene in (webhook, request, backfill)}


def main(settings: Settings) -> None:
    stage = Stage(settings, create_app(settings))
    for line in sys.stdin:
        print(play(stage, json.loads(line)), flush=True)


def play(stage: Stage, told: Mapping[str, Any]) -> int:
    """How the fork ended: 0, or as `os.waitstatus_to_exitcode` has it."""
    child = os.fork()
    if child == 0:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        asyncio.run(SCENES[told["scene"]](stage, Fuse(told["step"]), told))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main(Settings(_env_file=None))

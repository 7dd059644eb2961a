"""A program that changes are pushed to. Each effect is a row, written by a plain connection.

It notes some messages and then answers 500, or nothing: as a receiver does that fails too late.
"""

import asyncio
import base64
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from tests.e2e.effects import Fact, note_effect
from tests.e2e.processes import ROOT, eventually, reserved_port

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
_TOO_LATE = 0.004


class Receiver:
    """Fails no message twice: the second pause of a push is five minutes."""

    def __init__(self, pool: "asyncpg.Pool[Any]") -> None:
        self._pool = pool
        self._verifier = Webhook(SECRET)
        self._failed: set[str] = set()

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            message = self._verifier.verify(await request.read(), headers)
        except WebhookVerificationError:
            return web.Response(status=400)
        subscription, _, position = headers["webhook-id"].partition(":")
        change = message["data"]
        if str(change["position"]) != position:
            return web.Response(status=400)
        fact = Fact(int(position), change["kind"])
        await note_effect(
            self._pool,
            subscription,
            fact,
            change["clerk_id"],
            has_record=change["user"] is not None,
            pid=os.getpid(),
        )
        return self._answer(request, position)

    def _answer(self, request: web.Request, position: str) -> web.Response:
        if position not in self._failed and random.random() < _TOO_LATE:
            self._failed.add(position)
            if random.random() < 0.5 and request.transport is not None:
                request.transport.close()
            return web.Response(status=500)
        return web.Response(status=204)


async def serve(port: int) -> None:
    async with asyncpg.create_pool(os.environ["EFFECTS_URL"], min_size=1, max_size=4) as pool:
        app = web.Application()
        app.router.add_post("/hooks", Receiver(pool).take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


@asynccontextmanager
async def receiver_of_pushes(effects_url: str) -> AsyncIterator[str]:
    """Its address. It is a process of its own."""
    with reserved_port() as reserved:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "EFFECTS_URL": effects_url,
        }
        command = [sys.executable, "-m", "tests.e2e.push_receiver", str(reserved.number)]
        process = await asyncio.create_subprocess_exec(*command, env=environment)

        async def answers() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", reserved.number)
            except OSError:
                return False
            writer.close()
            return True

        try:
            await eventually(answers)
            yield f"http://127.0.0.1:{reserved.number}/hooks"
        finally:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))

"""A receiver of pushed messages, on a port of this machine."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(kw_only=True)
class Receiver:
    """Records what it receives after `pause` seconds, and answers as set."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    pause: float = 0.0
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@asynccontextmanager
async def receiving(host: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    receiver = Receiver()

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        await asyncio.sleep(receiver.pause)
        receiver.got.append((headers, body))
        return web.Response(status=receiver.status, headers=receiver.headers, body=receiver.body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()


OLD, NEW, OTHER = (f"whsec_{base64.b64encode(bytes([n]) * 32).decode()}" for n in (1, 2, 3))
BODY = '{"type": "user.created", "data": {"name": "Zoë"}}'.encode()

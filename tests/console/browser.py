"""A real browser before a real socket, and a record of everything it should not have seen."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from fastapi import FastAPI
from playwright.async_api import BrowserContext, Page, async_playwright
from starlette.types import Receive, Scope, Send

from scripts.clerk_emulator import ClerkEmulator, Endpoint
from service.app import create_app
from tests.adapters.clerk.certificates import self_signed_context
from tests.console.visitors import OPERATOR, TOKENS
from tests.e2e.processes import PATIENCE, eventually
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, settings_for
from tests.service.listening import listening

CHROMIUM = (
    os.environ.get("TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
)
"""Where a Chromium is installed; None where there is none."""

WITHOUT_CHROMIUM = "no Chromium is installed: apt install chromium, or set TEST_CHROMIUM to one"

IN_A_BROWSER = [
    pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT_CHROMIUM),
    pytest.mark.timeout(300),
]
"""The marks of every test in a browser."""

SCREENS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1280, "height": 860}},
    "narrow": {"viewport": {"width": 390, "height": 800}},
}

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)

LOOPBACK = ip_address("127.0.0.1")


@dataclass
class Browsing:
    """A page at the console, its complaints, and every address it asked for elsewhere."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    async def open(self, path: str = "") -> None:
        await self.page.goto(f"{self.base}{path}")

    async def sign_in(self, token: str = OPERATOR) -> None:
        await self.open()
        await self.page.fill("#token", token)
        await self.page.click("main button[type=submit]")
        await self.page.wait_for_url(self.base)

    async def confirm(self) -> None:
        """The button of a confirmation."""
        await self.page.click("main button[type=submit]")

    async def text(self) -> str:
        return await self.page.inner_text("main")

    async def findings(self) -> list[str]:
        """What axe-core finds wrong here, however small."""
        results = await Axe().run(self.page)
        violations: list[dict[str, Any]] = results.response["violations"]
        return [
            f"{self.page.url}: {one['id']}: {[node['html'][:120] for node in one['nodes']][:3]}"
            for one in violations
        ]

    async def broken_ids(self) -> list[str]:
        """The ids that are not on one line."""
        found: list[str] = await self.page.evaluate(
            "[...document.querySelectorAll('code')]"
            ".filter((code) => /^(user|msg)_/.test(code.textContent))"
            ".filter((code) => code.getClientRects().length > 1"
            " || code.getBoundingClientRect().height > 30).map((code) => code.textContent)"
        )
        return found

    async def is_wider_than_the_screen(self) -> bool:
        return bool(
            await self.page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )


@asynccontextmanager
async def listening_console(
    clerk: ClerkEmulator, store_url: str, prefix: str = "", **overrides: Any
) -> AsyncIterator[str]:
    """The console's address. Clerk's webhooks arrive at the same address."""
    given = {"clerk_rate_limit": 10_000, "root_path": prefix, **TOKENS, **overrides}
    settings = settings_for(clerk, store_url, **given)
    app = create_app(settings)
    served: Any = Stripping(app, prefix) if prefix else app
    async with listening(served, settings) as there:
        address = f"http://127.0.0.1:{there.port}{prefix}"
        webhooks = Endpoint(url=f"{address}{WEBHOOKS}", secrets=clerk.config.webhook_secrets)
        clerk.sender.add_endpoint(webhooks)
        yield f"{address}/console"


class Stripping:
    """What a proxy does that serves an application under a prefix: it takes that off."""

    def __init__(self, app: FastAPI, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The server has put its root path before what was asked for, which has it already.
        path = scope["path"].removeprefix(self._prefix)
        stripped = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(stripped if path.startswith(self._prefix) else scope, receive, send)


@asynccontextmanager
async def behind_tls(address: str, folder: Path) -> AsyncIterator[str]:
    """The same address behind a proxy that ends TLS and sends its own Host, as nginx does unless
    it is told otherwise. It adds no header.
    """
    inner = urlsplit(address)
    context = self_signed_context(generate_private_key(65537, 2048), folder)

    passing: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, there = await asyncio.open_connection(inner.hostname, inner.port)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = [line for line in head.split(b"\r\n") if line]
            kept = [
                line for line in lines if not line.lower().startswith((b"host:", b"connection:"))
            ]
            ours = [f"Host: {inner.netloc}".encode(), b"Connection: close", b"", b""]
            there.write(b"\r\n".join([*kept, *ours]))
            length = re.search(rb"(?i)\ncontent-length: (\d+)", head)
            there.write(await reader.readexactly(int(length[1]) if length else 0))
            writer.write(await upstream.read())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            there.close()
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.add(asyncio.create_task(pass_on(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}{inner.path}"
    # A browser opens connections in advance, and may never ask on them.
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)


@asynccontextmanager
async def browsing(base: str, **context: Any) -> AsyncIterator[Browsing]:
    """A browser of its own; `context` is what Playwright calls one's options."""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield await _watched(await chromium.new_context(**context), base)
        finally:
            await chromium.close()


async def _watched(context: BrowserContext, base: str) -> Browsing:
    context.set_default_timeout(PATIENCE * 1000)
    page = await context.new_page()
    seen = Browsing(page, base)
    parts = urlsplit(base)
    origin = f"{parts.scheme}://{parts.netloc}"
    page.on("console", lambda said: _note(seen.complaints, said.type, said.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("requestfailed", lambda request: _note_failure(seen.complaints, request))
    page.on("request", lambda request: _note_elsewhere(seen.elsewhere, request.url, origin))
    return seen


def _note(complaints: list[str], kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        complaints.append(text)


def _note_failure(complaints: list[str], request: Any) -> None:
    # Leaving a page ends what it was still asking for.
    if request.failure != "net::ERR_ABORTED":
        complaints.append(f"{request.url}: {request.failure}")


def _note_elsewhere(elsewhere: list[str], url: str, origin: str) -> None:
    if not url.startswith(f"{origin}/"):
        elsewhere.append(url)


async def arrived(sql: Sql, user_id: str) -> None:
    async def there() -> bool:
        found = await sql.fetchval("select count(*) from users where clerk_id = $1", user_id)
        return bool(found)

    await eventually(there, 20)


async def settled(browser: Browsing) -> None:
    """What a page asks for once it is shown has come."""
    await browser.page.wait_for_selector(".waiting", state="detached", timeout=15_000)


async def begin_and_end(browser: Browsing, path: str) -> None:
    """A long action, confirmed and watched to its end."""
    await browser.open(path)
    await browser.confirm()
    await browser.page.wait_for_selector("progress", state="detached", timeout=20_000)

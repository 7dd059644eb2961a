"""Pictures of every page of the console, to look at: `python -m tests.console.gallery FOLDER`.

It needs Chromium. `--help` lists the sizes, colours and numbers of users to choose from.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.database import Database
from adapters.postgres.migrate import migrate
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.console.browser import Browsing, begin_and_end, browsing, listening_console
from tests.console.staged import busy, fall_behind, staged
from tests.running import WEBHOOKS

HEIGHTS = {390: 800, 1280: 860, 1920: 1080}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, nargs="+", default=[0, 7, 2000])
    parser.add_argument("--width", type=int, nargs="+", default=list(HEIGHTS))
    parser.add_argument("--scheme", nargs="+", default=["light", "dark"])
    parser.add_argument("--page", nargs="+", help="only pages whose name begins with one of these")
    parser.add_argument("--environment", nargs=2, default=["shop staging", "green"])
    parser.add_argument(
        "--guide", action="store_true", help="only those of the guide, docs/console"
    )
    wanted = parser.parse_args()
    asyncio.run(_draw_the_guide(wanted) if wanted.guide else _draw_all(wanted))


async def _draw_all(wanted: argparse.Namespace) -> None:
    for users in wanted.users:
        async with _store() as url, _console(url, wanted.environment) as (clerk, address):
            pages = await _staged(clerk, address, url, users)
            chosen = {
                name: path
                for name, path in pages.items()
                if not wanted.page or name.startswith(tuple(wanted.page))
            }
            for width in wanted.width:
                for scheme in wanted.scheme:
                    folder = wanted.folder / f"{users}-{width}-{scheme}"
                    await _pictures(address, chosen, folder, width, scheme)


async def _draw_the_guide(wanted: argparse.Namespace) -> None:
    """A console where all is well, and one user for whom it is not."""
    async with (
        _store() as url,
        _console(url, wanted.environment) as (clerk, address),
        asyncpg.create_pool(url, min_size=1, max_size=1) as sql,
    ):
        ada, *_ = await busy(clerk, sql, 60)
        async with _visit(address, 1280, 1000, "light") as browser:
            await begin_and_end(browser, "/drift/check")
            # Somebody signs up while we look, so that the last delivery is a fresh one.
            clerk.create_user(email_address=["new@example.com"], first_name="New")
            await asyncio.sleep(1)
            await browser.open()
            await browser.page.screenshot(path=wanted.folder / "overview.png")
            await fall_behind(sql, ada)
            await browser.page.set_viewport_size({"width": 1280, "height": 900})
            await _open(browser, f"/users/{ada}")
            await browser.page.screenshot(path=wanted.folder / "user.png")
        async with _visit(address, 390, 860, "dark") as browser:
            await browser.page.screenshot(path=wanted.folder / "phone.png")


@asynccontextmanager
async def _store() -> AsyncIterator[str]:
    with EmbeddedPostgres() as server:
        await migrate(server.url())
        yield server.url()


@asynccontextmanager
async def _console(url: str, environment: list[str]) -> AsyncIterator[tuple[ClerkEmulator, str]]:
    name, colour = environment
    named = {"environment_name": name, "environment_colour": colour}
    async with (
        running_emulator(EmulatorConfig(rate_limit=None)) as clerk,
        listening_console(clerk, url, **named) as address,
    ):
        yield clerk, address


async def _staged(clerk: ClerkEmulator, address: str, url: str, users: int) -> dict[str, str]:
    database = Database(url)
    await database.open()
    try:
        webhooks = address.removesuffix("/console") + WEBHOOKS
        return await staged(clerk, webhooks, database, url, users)
    finally:
        await database.close()


@asynccontextmanager
async def _visit(address: str, width: int, height: int, scheme: str) -> AsyncIterator[Browsing]:
    viewport = {"width": width, "height": height}
    async with browsing(address, viewport=viewport, color_scheme=scheme) as browser:
        await browser.sign_in()
        yield browser


async def _pictures(
    address: str, pages: dict[str, str], folder: Path, width: int, scheme: str
) -> None:
    async with _visit(address, width, HEIGHTS.get(width, 900), scheme) as browser:
        await begin_and_end(browser, "/drift/check")
        for name, path in pages.items():
            await _open(browser, path)
            file = folder / f"{re.sub('[^a-z0-9]+', '-', name)}.png"
            await browser.page.screenshot(path=file, full_page=True)
            if await browser.is_wider_than_the_screen():
                print(f"{file}: wider than the screen")


async def _open(browser: Browsing, path: str) -> None:
    await browser.open(path)
    await browser.page.wait_for_selector(".waiting", state="detached", timeout=15_000)


if __name__ == "__main__":
    main()

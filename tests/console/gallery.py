"""Pictures of every page of the console, to look at: `python -m tests.console.gallery FOLDER`.

It needs Chromium. `--help` lists the sizes, colours and numbers of users to choose from.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.database import Database
from adapters.postgres.migrate import migrate
from scripts.clerk_emulator import EmulatorConfig, running_emulator
from tests.console.browser import Browsing, browsing, listening_console
from tests.console.staged import staged
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
    asyncio.run(_draw(parser.parse_args()))


async def _draw(wanted: argparse.Namespace) -> None:
    for users in wanted.users:
        async with _console(users, wanted.environment) as (address, pages):
            chosen = {
                name: path
                for name, path in pages.items()
                if not wanted.page or name.startswith(tuple(wanted.page))
            }
            for width in wanted.width:
                for scheme in wanted.scheme:
                    folder = wanted.folder / f"{users}-{width}-{scheme}"
                    await _pictures(address, chosen, folder, width, scheme)


@asynccontextmanager
async def _console(
    users: int, environment: list[str]
) -> AsyncIterator[tuple[str, dict[str, str]]]:
    with EmbeddedPostgres() as server:
        url = server.url()
        await migrate(url)
        async with running_emulator(EmulatorConfig(rate_limit=None)) as clerk:
            name, colour = environment
            named = {"environment_name": name, "environment_colour": colour}
            async with listening_console(clerk, url, **named) as address:
                database = Database(url)
                await database.open()
                hooks = address.removesuffix("/console") + WEBHOOKS
                yield address, await staged(clerk, hooks, database, url, users)
                await database.close()


async def _pictures(
    address: str, pages: dict[str, str], folder: Path, width: int, scheme: str
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    viewport = {"width": width, "height": HEIGHTS.get(width, 900)}
    async with browsing(address, viewport=viewport, color_scheme=scheme) as browser:
        await browser.open()
        await _picture(browser, folder, "sign in")
        await browser.sign_in()
        for name, path in pages.items():
            await browser.open(path)
            await browser.page.wait_for_selector(".waiting", state="detached", timeout=15_000)
            await _picture(browser, folder, name)


async def _picture(browser: Browsing, folder: Path, name: str) -> None:
    file = folder / f"{re.sub('[^a-z0-9]+', '-', name)}.png"
    await browser.page.screenshot(path=file, full_page=True)
    if await browser.is_wider_than_the_screen():
        print(f"{file}: wider than the screen")


if __name__ == "__main__":
    main()

"""Every page of the console in a real browser, with nobody and with people of every kind."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from service.console.routes import FOR_ANYBODY, FOR_OPERATORS, FOR_READERS
from tests.console.browser import (
    CHROMIUM,
    WITHOUT_CHROMIUM,
    begin_and_end,
    browsing,
    listening_console,
)
from tests.console.staged import staged
from tests.running import WEBHOOKS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT_CHROMIUM),
    pytest.mark.timeout(300),
]

SCREENS: dict[str, dict[str, Any]] = {
    "wide and light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "narrow and dark": {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"},
}

NOT_PAGES = {"/", "/static/{name}", "/users/{user_id}/clerk", "/{path:path}"}
"""Another path of a page, a part of one, or every unknown path."""


@pytest.mark.parametrize("people", [0, 9])
@pytest.mark.parametrize("screen", SCREENS)
async def test_axe_finds_nothing_on_any_page_and_none_is_too_wide(
    own_clerk: ClerkEmulator, store_url: str, database: Database, people: int, screen: str
) -> None:
    findings, too_wide, broken = [], [], []
    async with (
        listening_console(own_clerk, store_url) as address,
        browsing(address, **SCREENS[screen]) as browser,
    ):
        webhooks = address.removesuffix("/console") + WEBHOOKS
        pages = await staged(own_clerk, webhooks, database, store_url, people)
        await browser.open("/sign-in")
        findings += await browser.findings()
        await browser.sign_in()
        await begin_and_end(browser, "/drift/check")
        for path in pages.values():
            await browser.open(path)
            await browser.page.wait_for_selector(".waiting", state="detached", timeout=15_000)
            findings += await browser.findings()
            too_wide += [path] if await browser.is_wider_than_the_screen() else []
            broken += await browser.broken_ids()
        assert (findings, too_wide, broken) == ([], [], [])
        refused = [one for one in browser.complaints if "status of 40" not in one]
        assert (refused, browser.elsewhere) == ([], [])
    if people:
        unseen = [
            route
            for route in routes() - {"/sign-in"}
            if not any(_leads_to(route, one) for one in pages.values())
        ]
        assert unseen == []


def routes() -> set[str]:
    """The paths of all pages, as they are declared."""
    parts = (*FOR_ANYBODY, *FOR_OPERATORS, *FOR_READERS)
    declared = [one for part in parts for one in part.routes if isinstance(one, APIRoute)]
    return {one.path for one in declared if "GET" in (one.methods or ())} - NOT_PAGES


def _leads_to(route: str, path: str) -> bool:
    pattern = re.sub(r"\{[^}]+\}", "[^/]+", route)
    return re.fullmatch(pattern, path.partition("?")[0]) is not None

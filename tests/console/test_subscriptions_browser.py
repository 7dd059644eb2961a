"""The pages of subscriptions in a real browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from tests.console.browser import (
    IN_A_BROWSER,
    SCREENS,
    browsing,
    listening_console,
)
from tests.console.subscribed import Subscribed
from tests.console.visitors import READER

pytestmark = IN_A_BROWSER


@pytest.fixture
async def subscribed(database: Database) -> Subscribed:
    subscribed = Subscribed(database)
    await subscribed.prepare()
    return subscribed


@pytest.fixture
async def address(
    own_clerk: ClerkEmulator, store_url: str, subscribed: Subscribed
) -> AsyncIterator[str]:
    assert subscribed.ada
    async with listening_console(own_clerk, store_url) as address:
        yield address


async def test_an_operator_puts_a_subscription_right_by_hand(
    address: str, subscribed: Subscribed
) -> None:
    async with browsing(address, **SCREENS["wide"]) as browser:
        page = browser.page
        await browser.sign_in()
        await page.click("nav >> text=Subscriptions")
        await page.click("main >> text=crm")
        await page.click("text=Resume")
        await browser.confirm()
        await page.wait_for_selector("text=What operators did")
        await browser.open("/subscriptions/mail")
        await page.click("text=Give up … >> nth=0")
        await browser.confirm()
        await page.wait_for_selector("text=What operators did")
        await page.fill("#to", "oldest")
        await page.click("text=Start over …")
        await browser.confirm()
        await page.wait_for_selector("text=continues after 0")
        assert (browser.complaints, browser.elsewhere) == ([], [])
    assert await subscribed.position("mail") == 0
    assert await subscribed.store.take("crm", "another", 60) == 1


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
async def test_every_page_of_subscriptions_is_fit_for_everybody(
    address: str, subscribed: Subscribed, scheme: str, screen: dict[str, Any]
) -> None:
    paths = (
        "/subscriptions",
        "/subscriptions/mail",
        "/subscriptions/crm",
        "/subscriptions/mail/skip",
        "/subscriptions/mail/retry?position=5",
        "/subscriptions/crm/resume",
        "/subscriptions/mail/rewind?to=oldest",
        f"/users/{subscribed.ada}",
        f"/users/{subscribed.bob}",
    )
    async with browsing(address, color_scheme=scheme, **screen) as browser:
        await browser.sign_in()
        findings, too_wide = [], []
        for path in paths:
            await browser.open(path)
            await browser.page.wait_for_selector(".waiting", state="detached", timeout=15_000)
            findings += await browser.findings()
            too_wide += [path] if await browser.is_wider_than_the_screen() else []
        assert (findings, too_wide) == ([], [])
        assert (browser.complaints, browser.elsewhere) == ([], [])


@pytest.mark.slow
async def test_a_reader_finds_no_action(address: str) -> None:
    async with browsing(address, **SCREENS["wide"]) as browser:
        await browser.sign_in(READER)
        for path in ("/subscriptions", "/subscriptions/mail", "/subscriptions/crm"):
            await browser.open(path)
            assert await browser.page.locator("main a.button, main form").count() == 0
            assert await browser.page.locator("main a[href*='/skip']").count() == 0

"""The console in a real browser: under a prefix, without scripts, over TLS and plain HTTP."""

from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.console.browser import (
    IN_A_BROWSER,
    SCREENS,
    Browsing,
    arrived,
    behind_tls,
    browsing,
    listening_console,
    settled,
)
from tests.console.visitors import READER
from tests.postgres_server import Sql

pytestmark = IN_A_BROWSER


@pytest.mark.slow
async def test_while_nothing_answers_nothing_is_called_live(address: str) -> None:
    async with browsing(address, **SCREENS["wide"]) as browser:
        page = browser.page
        await browser.sign_in()
        await browser.open("/deliveries")
        await page.route("**/deliveries*", lambda route: route.abort())
        await page.wait_for_selector("text=No answer", timeout=15_000)
        await page.unroute("**/deliveries*")
        await page.wait_for_selector(".live-state:text-is('Live')", timeout=15_000)


@pytest.mark.slow
async def test_a_body_that_does_not_come_is_told(address: str, lively: dict[str, str]) -> None:
    async with browsing(address, **SCREENS["wide"]) as browser:
        page = browser.page
        await browser.sign_in()
        await browser.open(lively["delivery"])
        await page.route("**/body", lambda route: route.abort())
        await page.click("text=Show it")
        await page.wait_for_selector("text=There was no answer.")
        await page.unroute("**/body")
        await page.click("text=Show it")
        await page.wait_for_selector("pre")


@pytest.mark.slow
async def test_under_a_prefix_everything_is_there(
    own_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with (
        listening_console(own_clerk, store_url, "/ops/sync") as address,
        browsing(address, **SCREENS["wide"]) as browser,
    ):
        await browser.sign_in()
        person = own_clerk.create_user(email_address=["ada@example.com"], first_name="Ada")["id"]
        await arrived(sql, person)
        await browser.page.click("nav >> text=Users")
        await browser.page.fill("#q", "ada@example.com")
        await browser.page.press("#q", "Enter")
        await browser.page.wait_for_selector("text=Both sides agree")
        assert browser.page.url == f"{address}/users/{person}"
        await browser.page.click("text=Sync now >> nth=0")
        await browser.confirm()
        await browser.page.wait_for_selector("text=What operators did")
        assert (browser.complaints, browser.elsewhere) == ([], [])


@pytest.mark.slow
async def test_without_a_script_everything_is_still_there(
    address: str, lively: dict[str, str]
) -> None:
    async with browsing(address, java_script_enabled=False, **SCREENS["wide"]) as browser:
        await browser.sign_in()
        await browser.open(lively["differing"])
        await browser.page.click("text=Ask Clerk")
        assert "1 field differs" in await browser.text()
        await browser.open(lively["sync now"])
        await browser.confirm()
        assert "What operators did" in await browser.text()
        await browser.open(lively["delivery"])
        await browser.page.click("text=Show it")
        assert "<script>" in await browser.text()
        await browser.open("/deliveries")
        await browser.page.fill("#user", "x@example.com")
        await browser.page.click("text=Filter")
        assert "or more than one, has that id" in await browser.text()


@pytest.mark.slow
async def test_a_link_from_another_site_leads_to_its_page(address: str) -> None:
    """Strict cookies, and deep links all the same."""
    async with browsing(address, **SCREENS["wide"]) as browser:
        await browser.sign_in()
        link = f'<a href="{address}/deliveries?outcome=stale">look</a>'
        await browser.page.route(
            "http://elsewhere.example/",
            lambda route: route.fulfill(content_type="text/html", body=link),
        )
        await browser.page.goto("http://elsewhere.example/")
        await browser.page.click("text=look")
        await browser.page.wait_for_selector("h1:has-text('Deliveries')", timeout=10_000)
        assert browser.page.url.endswith("/deliveries?outcome=stale")


@pytest.mark.slow
async def test_a_reader_sees_no_button_to_act(address: str, lively: dict[str, str]) -> None:
    async with browsing(address, **SCREENS["wide"]) as browser:
        await browser.sign_in(READER)
        for path in (lively["differing"], lively["delivery"], "/drift", "/quarantine"):
            await browser.open(path)
            await settled(browser)
            assert (
                await browser.page.locator(
                    "main a.button[href*='/sync'], a[href*='/replay']"
                ).count()
                == 0
            )
        assert browser.complaints == []


async def test_behind_tls_a_browser_keeps_a_host_cookie(address: str, tmp_path: Path) -> None:
    """On loopback too, with a Host that is loopback: the browser's own `Origin` tells."""
    async with (
        behind_tls(address, tmp_path) as secure,
        browsing(secure, ignore_https_errors=True, **SCREENS["wide"]) as browser,
    ):
        await browser.sign_in()
        await browser.open("/audit")
        assert "sign in" in await browser.text()
        cookies = await browser.page.context.cookies()
        assert [(one["name"], one["secure"], one["path"]) for one in cookies] == [
            ("__Host-console", True, "/")
        ]
        await browser.page.click("text=Sign out")
        await browser.page.wait_for_url("**/sign-in")
        assert await browser.page.context.cookies() == []


async def test_at_plain_http_on_loopback_a_browser_keeps_the_plain_cookie(
    browser: Browsing,
) -> None:
    cookies = await browser.page.context.cookies()
    assert [(one["name"], one["secure"]) for one in cookies] == [("console", False)]
    await browser.page.click("text=Sign out")
    await browser.page.wait_for_url("**/sign-in")
    assert await browser.page.context.cookies() == []

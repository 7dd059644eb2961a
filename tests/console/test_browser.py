"""The console in a real browser, on the emulator."""

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page

from scripts.clerk_emulator import ClerkEmulator
from service.console.rendering import visible
from tests.console.browser import (
    IN_A_BROWSER,
    SCREENS,
    Browsing,
    arrived,
    begin_and_end,
    browsing,
    settled,
)
from tests.console.hostile import HOSTILE
from tests.console.visitors import OPERATOR, READER
from tests.postgres_server import Sql

pytestmark = IN_A_BROWSER


async def test_from_i_cannot_get_in_to_put_right(
    browser: Browsing, own_clerk: ClerkEmulator, sql: Sql
) -> None:
    person = own_clerk.create_user(email_address=["ada@example.com"], first_name="Ada")["id"]
    await arrived(sql, person)
    await sql.execute("update users set banned = true, observed_at = observed_at - interval '1 h'")
    page = browser.page
    await browser.open("/users")
    await page.fill("#q", "ada@example.com")
    await page.press("#q", "Enter")
    await page.wait_for_selector("#at-clerk tr.differs")
    assert "1 field differs" in await browser.text()
    await page.click("text=Sync now >> nth=0")
    await browser.confirm()
    await page.wait_for_selector("text=Both sides agree")
    await browser.open("/audit")
    assert "sync now" in await browser.text()


@pytest.mark.slow
async def test_the_list_is_live_until_it_is_paused(
    browser: Browsing, own_clerk: ClerkEmulator
) -> None:
    page = browser.page
    await browser.open("/deliveries")
    assert "Nothing has arrived yet" in await browser.text()
    own_clerk.create_user(email_address=["first@example.com"])
    await page.wait_for_selector("table.entries tbody tr", timeout=15_000)
    await page.click("text=Pause")
    own_clerk.create_user(email_address=["second@example.com"])
    await page.wait_for_timeout(5000)
    assert await page.locator("table.entries tbody tr").count() == 1
    await page.click("text=Resume")
    await page.wait_for_selector("table.entries tbody tr:nth-child(2)", timeout=15_000)


Opened = Callable[[Browsing], Awaitable[None]]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
async def test_every_page_is_fit_for_everybody(
    address: str, lively: dict[str, str], scheme: str, screen: str
) -> None:
    async with browsing(address, color_scheme=scheme, **SCREENS[screen]) as browser:
        await browser.sign_in()
        await begin_and_end(browser, "/drift/check")
        findings, too_wide, broken = [], [], []
        for name, path in lively.items():
            await browser.open(path)
            await settled(browser)
            findings += await browser.findings()
            too_wide += [name] if await browser.is_wider_than_the_screen() else []
            broken += await browser.broken_ids()
        assert findings == []
        assert too_wide == []
        assert broken == []
        assert (browser.complaints, browser.elsewhere) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_refusal_is_fit_for_everybody_too(address: str, scheme: str) -> None:
    async with browsing(address, color_scheme=scheme, **SCREENS["narrow"]) as browser:
        await browser.sign_in(READER)
        findings = []
        for path in ("/nothing/like/that", "/deliveries/999", "/users/nobody", "/drift/check"):
            await browser.open(path)
            findings += await browser.findings()
            assert not await browser.is_wider_than_the_screen()
        assert (findings, browser.elsewhere) == ([], [])


@pytest.mark.slow
async def test_a_hostile_name_does_nothing_but_stand_there(
    browser: Browsing, lively: dict[str, str]
) -> None:
    asked: list[str] = []
    browser.page.on("dialog", lambda dialog: asked.append(dialog.message))
    for name, path in lively.items():
        if name.startswith("hostile"):
            await browser.open(path)
            await settled(browser)
            shown = await browser.page.locator("td bdi").all_inner_texts()
            assert any(
                text[:20] == visible(name_)[:20] for text in shown for name_ in HOSTILE.values()
            )
    assert asked == []


@pytest.mark.slow
async def test_every_action_can_be_done_by_hand(
    browser: Browsing, lively: dict[str, str], sql: Sql
) -> None:
    page = browser.page
    await begin_and_end(browser, "/drift/check")
    assert "1 differing" in await browser.text() or "differ" in await browser.text()
    await begin_and_end(browser, "/drift/repair")
    assert "0 left" in await browser.text()
    await begin_and_end(browser, "/quarantine/replay?error=wrong_type")
    await browser.open(lively["replay"])
    await browser.confirm()
    await browser.open(lively["delivery"])
    await page.click("text=Show it")
    await page.wait_for_selector("pre.body")
    assert "<script>alert(1)</script>" in await page.inner_text("pre.body")
    done = await sql.fetch("select action from operator_actions where result is not null")
    assert {row["action"] for row in done} == {
        *("sign in", "drift check", "drift repair", "replay", "replay quarantined", "view body")
    }


@pytest.mark.slow
async def test_the_keyboard_goes_everywhere(browser: Browsing) -> None:
    page = browser.page
    await browser.open()
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.add(await page.evaluate("document.activeElement.textContent.trim()"))
    assert {
        "Overview",
        "Deliveries",
        "Users",
        "Drift",
        "Quarantine",
        "Audit",
        "Sign out",
    } <= reached


@pytest.mark.slow
async def test_somebody_is_put_right_without_a_mouse(
    address: str, lively: dict[str, str], sql: Sql
) -> None:
    """Signed in, looked up, compared and synced: Tab, Enter and what one types."""
    async with browsing(address, **SCREENS["wide"]) as browser:
        page = browser.page
        await browser.open()
        await type_into(page, "#token", OPERATOR)
        await page.keyboard.press("Enter")
        await page.wait_for_url(browser.base)
        await tab_to(page, "Users")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/users")
        await type_into(page, "#q", lively["differing"].rpartition("/")[2])
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#at-clerk tr.differs")
        await tab_to(page, "Sync now")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/sync")
        await tab_to(page, "Sync now")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("text=Both sides agree")
        assert await sql.fetchval("select count(*) from operator_actions where action = 'sync now'")


async def type_into(page: Page, field: str, text: str) -> None:
    """The field takes the focus by itself, when the page is first drawn: not before it is loaded."""
    await page.wait_for_selector(f"{field}:focus")
    await page.keyboard.type(text)


async def tab_to(page: Page, words: str) -> None:
    """Forward until what has these words has the focus, which can be seen."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent.trim()") == words:
            assert (
                await page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
                != "0px"
            )
            return
    pytest.fail(f"no Tab leads to {words}")

"""The console in a real browser, on the emulator."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Page

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from service.console.rendering import visible
from tests.commands.arrivals import quarantined
from tests.console.browser import (
    CHROMIUM,
    WITHOUT_CHROMIUM,
    Browsing,
    behind_tls,
    browsing,
    listening_console,
)
from tests.console.hostile import HOSTILE
from tests.console.visitors import OPERATOR, READER
from tests.e2e.processes import eventually
from tests.service.tables import Sql

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT_CHROMIUM),
    pytest.mark.timeout(300),
]

SCREENS = {
    "wide": {"viewport": {"width": 1280, "height": 860}},
    "narrow": {"viewport": {"width": 390, "height": 800}},
}


@pytest.fixture
async def address(own_clerk: ClerkEmulator, store_url: str) -> AsyncIterator[str]:
    async with listening_console(own_clerk, store_url) as address:
        yield address


@pytest.fixture
async def browser(address: str) -> AsyncIterator[Browsing]:
    """Signed in as an operator; whatever it does, nothing was wrong in it."""
    async with browsing(address, **SCREENS["wide"]) as browser:
        await browser.sign_in()
        yield browser
        assert browser.complaints == []
        assert browser.elsewhere == []


async def arrived(sql: Sql, user_id: str) -> None:
    async def there() -> bool:
        found = await sql.fetchval("select count(*) from users where clerk_id = $1", user_id)
        return bool(found)

    await eventually(there, 20)


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


@pytest.fixture
async def lively(
    own_clerk: ClerkEmulator, address: str, database: Database, sql: Sql
) -> dict[str, str]:
    """Something on every page. The paths to look at, by name."""
    people = [
        own_clerk.create_user(email_address=[f"{n}@example.com"], first_name=name, last_name=name)[
            "id"
        ]
        for n, name in enumerate(["Ada", "Grace", *HOSTILE.values()])
    ]
    for person in people:
        await arrived(sql, person)
    own_clerk.delete_user(people[1])
    await quarantined(database, b'{"type": "<script>alert(1)</script>"}', clerk_id=None)
    await sql.execute(
        "update users set email = 'x@example.com', observed_at = observed_at - interval '1 h'"
        " where clerk_id <> $1",
        people[1],
    )
    entry = await sql.fetchval("select id from sync_journal where svix_id = 'msg_q'")
    return {
        "overview": "",
        "a day": "?window=24h",
        "deliveries": "/deliveries",
        "filtered": "/deliveries?outcome=stale&since=nonsense",
        "delivery": f"/deliveries/{entry}",
        "body": f"/deliveries/{entry}/body",
        "replay": f"/deliveries/{entry}/replay",
        "users": "/users",
        "nobody found": "/users?q=nobody",
        "several found": "/users?q=x@example.com",
        "differing": f"/users/{people[0]}",
        "tombstone": f"/users/{people[1]}",
        **{f"hostile {n}": f"/users/{person}" for n, person in enumerate(people[2:])},
        "never seen": "/users/user_never",
        "sync now": f"/users/{people[0]}/sync",
        "quarantine": "/quarantine",
        "replay group": "/quarantine/replay?error=wrong_type",
        "drift": "/drift",
        "check": "/drift/check",
        "repair": "/drift/repair",
        "audit": "/audit",
        "sign in": "/sign-in",
    }


async def settled(browser: Browsing) -> None:
    """What a page asks for once it is shown has come."""
    await browser.page.wait_for_selector(".waiting", state="detached", timeout=15_000)


async def begin_and_end(browser: Browsing, path: str) -> None:
    """A long action, confirmed and watched to its end."""
    await browser.open(path)
    await browser.confirm()
    await browser.page.wait_for_selector("progress", state="detached", timeout=20_000)


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
            findings += await browser.grave_findings()
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
            findings += await browser.grave_findings()
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
        assert "several users have that name" in await browser.text()


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

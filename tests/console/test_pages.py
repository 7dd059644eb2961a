"""What the pages show, and how."""

import re
from typing import get_args
from urllib.parse import quote

import pytest
from markupsafe import escape

from adapters.clerk.translate.json import Reason
from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.console.rendering import because, visible
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.commands.arrivals import quarantined
from tests.console.entries import FILL
from tests.console.hostile import HOSTILE
from tests.console.visitors import COOKIE, OPERATOR, TOKENS, Visitor, visitor_of
from tests.postgres_server import Sql
from tests.running import Service, running_service

PAGES = ("", "/deliveries", "/users", "/subscriptions", "/drift", "/quarantine", "/audit")


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_opens_on_an_empty_store(reader: Visitor, path: str) -> None:
    assert (await reader.get(path)).status_code == 200


async def test_an_empty_store_is_told_what_to_do(own_operator: Visitor) -> None:
    page = (await own_operator.get()).text
    assert "Nothing has arrived yet" in page
    assert "/webhooks/clerk" in page


@pytest.mark.parametrize(
    "path",
    ["", "/sign-in", "/static/console.css", "/deliveries/999", "/users/nobody", "/drift/check"],
)
async def test_every_answer_is_closed_to_everybody_else(reader: Visitor, path: str) -> None:
    headers = (await reader.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-robots-tag"] == "noindex, nofollow"
    assert headers["cache-control"] == "no-store"


async def test_a_browser_keeps_a_file_only_under_the_address_of_its_content(
    nobody: Visitor,
) -> None:
    """Halfway through a deployment the page of one release asks another for its files."""
    page = (await nobody.get("/sign-in")).text
    files = re.findall(r'(?:src|href)="/console(/static/[^"]+\?v=[^"]+)"', page)
    assert len(files) == 4
    for file in files:
        ours = await nobody.get(file)
        assert ours.headers["cache-control"] == "public, max-age=31536000, immutable"
        path = file.partition("?")[0]
        for query in ("?v=another", "", "?v="):
            answer = await nobody.get(f"{path}{query}")
            assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_anything_inline_or_from_elsewhere(reader: Visitor, path: str) -> None:
    page = (await reader.get(path)).text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|javascript:", page) == []
    assert re.findall(r'(?:src|href|action|hx-get)="(?!/console|#)[^"]*"', page) == []


async def test_a_delivery_is_shown_with_its_reason(service: Service, reader: Visitor) -> None:
    await service.deliver(webhook_bytes("user.updated"), svix_id="msg_new")
    await service.deliver(webhook_bytes("user.updated.stale_older_than_updated"), svix_id="msg_old")
    found = await reader.get("/users?q=msg_old")
    page = await reader.http.get(found.headers["location"])
    assert re.search(r"Stale: .+ older than the row", page.text)


async def test_a_user_is_shown_beside_clerks_answer(service: Service, reader: Visitor) -> None:
    await service.deliver(webhook_bytes("user.created"))
    assert "user.created" in (await reader.get(f"/users/{ADA}")).text
    beside = (await reader.get(f"/users/{ADA}/clerk")).text
    assert "Clerk does not know this user any more" in beside


async def test_the_page_of_a_user_waits_for_no_clerk(reader: Visitor, clerk: ClerkEmulator) -> None:
    clerk.calls.clear()
    await reader.get(f"/users/{ADA}")
    assert clerk.calls.count("GetUser") == 0


async def test_while_clerk_is_down_our_own_row_is_shown(
    service: Service, reader: Visitor, clerk: ClerkEmulator
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT))
    page = (await reader.get(f"/users/{ADA}/clerk")).text
    assert "Clerk is unavailable" in page
    assert "ada@example.com" in page


async def test_our_own_row_is_shown_before_clerk_has_answered(
    service: Service, reader: Visitor
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    assert "ada@example.com" in (await reader.get(f"/users/{ADA}")).text


@pytest.mark.parametrize("reason", get_args(Reason))
async def test_a_reason_is_told_in_words(
    reader: Visitor, database: Database, sql: Sql, reason: str
) -> None:
    await quarantined(database, b"?", clerk_id=None)
    await sql.execute("update sync_journal set error = $1", reason)
    entry = await sql.fetchval("select id from sync_journal")
    words = because(reason)
    assert words != reason
    for path in ("/quarantine", f"/deliveries/{entry}", "/deliveries"):
        assert words[1:] in (await reader.get(path)).text


def test_what_a_reason_says_in_particular_stays() -> None:
    assert because("unstorable: value too long") == "the store refuses it (value too long)"
    assert because("of another version") == "of another version"


async def test_a_refusal_is_a_page_with_the_way_on(reader: Visitor) -> None:
    for path in ("/nothing/like/that", "/deliveries/999", "/drift/check", "/users/nobody"):
        assert "Sign out" in (await reader.get(path)).text


@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody",
        "/users/user_" + "x" * 5000,
        "/users/user_%00",
        "/users/user_a%27%20or%201=1",
        "/deliveries/0",
        "/deliveries/99999999999999999999999999",
        "/deliveries/" + "9" * 5000,
        "/deliveries/-1",
        "/deliveries/one",
        "/deliveries/0/body",
        "/deliveries/" + "9" * 5000 + "/replay",
        "/static/..%2fconsole.py",
        "/static/nothing.css",
    ],
)
async def test_what_is_not_there_is_a_page_that_says_so(operator: Visitor, path: str) -> None:
    answer = await operator.get(path)
    assert answer.status_code == 404


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
async def test_a_chart_has_its_figures_beside_it(reader: Visitor, sql: Sql, window: str) -> None:
    await sql.execute(FILL)
    page = (await reader.get(f"?window={window}")).text
    assert 'role="img"' in page
    assert "<caption" in page
    in_time = {"1h": 60, "24h": 200, "7d": 200}[window]
    counted = int(re.findall(r"([0-9]+) deliveries in", page)[0])
    assert abs(counted - in_time) <= 1


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_name_is_text(operator: Visitor, clerk: ClerkEmulator, name: str) -> None:
    person = clerk.create_user(
        email_address=[f"{abs(hash(name))}@example.com"], first_name=name, last_name=name
    )["id"]
    await operator.confirm(f"/users/{person}/sync")
    for path in (f"/users/{person}", f"/users/{person}/clerk", "/deliveries", "/audit"):
        page = (await operator.get(path)).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    assert str(escape(visible(name[:40]))) in (await operator.get(f"/users/{person}/clerk")).text


async def test_hostile_words_in_an_address_are_text(reader: Visitor) -> None:
    for path in ("/users?q=", "/deliveries?type=", "/deliveries?user=", "/deliveries?since="):
        page = (await reader.get(path + quote('"><script>alert(1)</script>'))).text
        assert "<script>alert" not in page


async def test_a_body_is_text_whatever_it_is(
    operator: Visitor, database: Database, sql: Sql
) -> None:
    await quarantined(database, b"\xff<script>alert(1)</script>")
    entry = await sql.fetchval("select id from sync_journal")
    page = (await operator.get(f"/deliveries/{entry}/body")).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


async def test_under_a_prefix_every_link_has_it(clerk: ClerkEmulator, store_url: str) -> None:
    async with (
        running_service(clerk, store_url, **TOKENS) as service,
        visitor_of(service.app, root_path="/ops/sync") as visitor,
    ):
        answer = await visitor.sign_in(OPERATOR)
        assert answer.headers["location"] == "/ops/sync/console"
        assert "path=/ops/sync/console" in answer.headers["set-cookie"].lower()
        page = (await visitor.get("/deliveries")).text
        assert re.findall(r'(?:src|href|action|hx-get)="(?!/ops/sync/console|#)[^"]*"', page) == []


async def test_a_store_that_is_away_is_named(clerk: ClerkEmulator) -> None:
    nowhere = "postgresql://nobody:nothing@127.0.0.1:9/nowhere"
    async with (
        running_service(clerk, nowhere, **TOKENS) as service,
        visitor_of(service.app) as visitor,
    ):
        visitor.headers["cookie"] = f"{COOKIE}=any"
        for path in ("", "/deliveries", "/drift/check"):
            page = await visitor.get(path)
            assert (page.status_code, "The store cannot be reached" in page.text) == (503, True)
            assert "/readyz and doctor say what else is down" in page.text
        assert (await visitor.sign_in(OPERATOR)).status_code == 503

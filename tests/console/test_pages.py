"""What the pages show, and how."""

import re
from typing import get_args
from urllib.parse import quote

import httpx
import pytest
from markupsafe import escape

from adapters.clerk.translate.json import Reason
from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.console.rendering import because, visible
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.commands.arrivals import quarantined
from tests.console.hostile import HOSTILE
from tests.console.visitors import COOKIE, OPERATOR, TOKENS, Visitor, visitor_of
from tests.running import Service, running_service
from tests.service.tables import Sql

PAGES = ("", "/deliveries", "/users", "/subscriptions", "/drift", "/quarantine", "/audit")

FILL = """
insert into sync_journal (svix_id, event_type, clerk_id, source, outcome, received_at, occurred_at)
select 'msg_' || n, 'user.updated', 'user_' || n % 7, 'webhook',
    case when n % 10 = 0 then 'stale' when n % 3 = 0 then 'unchanged' else 'updated' end,
    now() - interval '1 min' * (200 - n), now() - interval '1 min' * (200 - n)
from generate_series(1, 200) as n
"""

_ENTRY = re.compile(r'<td class="nowrap"><a href="/console/deliveries/([0-9]+)">')
_OLDER = re.compile(r'href="([^"]+)" rel="next"')


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
    if not path.startswith("/static"):
        assert headers["cache-control"] == "no-store"


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


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], "Their first request asks Clerk"),
        (["user.created"], "Their requests are served."),
        (["user.updated.banned"], "Their requests are refused: 403 user_banned."),
        (["user.created", "user.deleted"], "Their requests are refused: 401 user_deleted."),
    ],
)
async def test_a_page_says_whether_they_get_in(
    service: Service, reader: Visitor, events: list[str], words: str
) -> None:
    for event in events:
        await service.deliver(webhook_bytes(event))
    assert words in (await reader.get(f"/users/{ADA}")).text


async def test_deliveries_are_found_by_any_name_of_their_user(
    service: Service, reader: Visitor, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    for name in ("ADA@example.com", str(await sql.fetchval("select id from users")), ADA):
        page = await reader.get(f"/deliveries?user={name}")
        assert len(await entries_of(page)) == 1
        assert f'value="{ADA}"' in page.text
    assert (
        "No user or several users have that name" in (await reader.get("/deliveries?user=eve")).text
    )


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


@pytest.mark.parametrize("kind", ["clerk_id", "id", "email", "external_id"])
async def test_a_user_is_found_by_any_of_their_names(
    service: Service, reader: Visitor, sql: Sql, kind: str
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    await sql.execute("update users set external_id = 'their own'")
    text = str(await sql.fetchval(f"select {kind} from users"))
    for written in (text, f"  {text} ", text.upper() if kind == "email" else text):
        answer = await reader.get(f"/users?q={quote(written)}")
        assert answer.headers.get("location") == f"/console/users/{ADA}"


async def test_those_who_share_an_address_are_listed(reader: Visitor, sql: Sql) -> None:
    await sql.execute(
        "insert into users (clerk_id, email, clerk_updated_at, observed_at, digest, synced_by)"
        " select 'user_' || n, 'shared@example.com', now(), now(), '', 'webhook'"
        " from generate_series(1, 30) as n"
    )
    page = (await reader.get("/users?q=shared@example.com")).text
    assert page.count("<code>user_") == 20


@pytest.mark.parametrize(
    "path",
    [
        "/users/nobody",
        "/users/user_" + "x" * 5000,
        "/users/user_%00",
        "/users/user_a%27%20or%201=1",
        "/deliveries/0",
        "/deliveries/99999999999999999999999999",
        "/deliveries/0/body",
        "/static/..%2fconsole.py",
        "/static/nothing.css",
    ],
)
async def test_what_is_not_there_is_a_page_that_says_so(operator: Visitor, path: str) -> None:
    answer = await operator.get(path)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "query", ["outcome", "type", "from", "user", "svix_id", "since", "until", "before", "q"]
)
@pytest.mark.parametrize("text", ["' or 1=1 --", "%00", "-1", "9" * 40, "%ff", "x" * 3000, "²"])
async def test_no_filter_breaks_a_page(reader: Visitor, query: str, text: str) -> None:
    for path in ("/deliveries", "/users", "/audit", "?window=x"):
        joint = "&" if "?" in path else "?"
        assert (await reader.get(f"{path}{joint}{query}={text}")).status_code == 200


async def entries_of(page: httpx.Response) -> list[int]:
    return [int(entry) for entry in _ENTRY.findall(page.text)]


@pytest.mark.parametrize(
    "query", ["", "outcome=stale", "outcome=unchanged", "user=user_3", "since=90m"]
)
async def test_paging_shows_every_entry_once(reader: Visitor, sql: Sql, query: str) -> None:
    await sql.execute(FILL)
    wanted = {
        "": "true",
        "outcome=stale": "outcome = 'stale'",
        "outcome=unchanged": "outcome = 'unchanged'",
        "user=user_3": "clerk_id = 'user_3'",
        "since=90m": "received_at >= now() - interval '90 min'",
    }[query]
    page = await reader.get(f"/deliveries?{query}")
    seen = await entries_of(page)
    while older := _OLDER.search(page.text):
        page = await reader.http.get(older[1].replace("&amp;", "&"))
        seen += await entries_of(page)
    rows = await sql.fetch(f"select id from sync_journal where {wanted} order by id desc")
    assert seen == [row["id"] for row in rows]


async def test_what_arrives_meanwhile_shifts_no_page(
    service: Service, reader: Visitor, sql: Sql
) -> None:
    await sql.execute(FILL)
    older = _OLDER.search((await reader.get("/deliveries")).text)
    assert older
    link = older[1].replace("&amp;", "&")
    before = await entries_of(await reader.http.get(link))
    await service.deliver(webhook_bytes("user.created"))
    assert await entries_of(await reader.http.get(link)) == before


async def test_filters_go_together_and_stay_in_the_links(reader: Visitor, sql: Sql) -> None:
    await sql.execute(FILL)
    page = await reader.get("/deliveries?outcome=updated&user=user_3&until=10m")
    link = "/console/deliveries?outcome=stale&amp;user=user_3&amp;until=10m"
    assert link in page.text
    shown = await entries_of(page)
    rows = await sql.fetch("select outcome, clerk_id from sync_journal where id = any ($1)", shown)
    assert {tuple(row) for row in rows} == {("updated", "user_3")}


@pytest.mark.parametrize("window", ["1h", "24h", "7d"])
async def test_a_chart_has_its_figures_beside_it(reader: Visitor, sql: Sql, window: str) -> None:
    await sql.execute(FILL)
    page = (await reader.get(f"?window={window}")).text
    assert 'role="img"' in page
    assert "<caption" in page
    in_time = {"1h": 60, "24h": 200, "7d": 200}[window]
    counted = int(re.findall(r"([0-9]+) deliveries in", page)[0])
    assert abs(counted - in_time) <= 1


async def test_quarantine_is_grouped_by_cause(
    reader: Visitor, database: Database, sql: Sql
) -> None:
    for number in range(3):
        await quarantined(database, b"?", svix_id=f"msg_{number}", clerk_id=None)
    await sql.execute("update sync_journal set error = 'another' where svix_id = 'msg_2'")
    page = (await reader.get("/quarantine")).text
    shown = await reader.get("/deliveries?outcome=quarantined&error=another")
    assert len(await entries_of(shown)) == 1
    assert re.search(r"wrong_type.*?2 deliveries.*?another.*?1 delivery", page, re.DOTALL)
    assert "3 deliveries could not be applied" in (await reader.get()).text


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
        assert (await visitor.sign_in(OPERATOR)).status_code == 503

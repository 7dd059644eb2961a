"""Lists: what a search finds, and how filters and pages go together."""

import re
from urllib.parse import quote

import pytest

from adapters.postgres.database import Database
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.commands.arrivals import quarantined
from tests.console.entries import FILL, entries_of
from tests.console.visitors import Visitor
from tests.postgres_server import Sql
from tests.running import Service

_OLDER = re.compile(r'href="([^"]+)" rel="next"')


async def test_deliveries_are_found_by_any_name_of_their_user(
    service: Service, reader: Visitor, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    for name in ("ADA@example.com", str(await sql.fetchval("select id from users")), ADA):
        page = await reader.get(f"/deliveries?user={name}")
        assert len(await entries_of(page)) == 1
        assert f'value="{ADA}"' in page.text
    assert (
        "No user, or more than one, has that id" in (await reader.get("/deliveries?user=eve")).text
    )


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
    "query", ["outcome", "type", "from", "user", "svix_id", "since", "until", "before", "q"]
)
@pytest.mark.parametrize(
    "text",
    ["' or 1=1 --", "%00", "-1", "9" * 40, "%ff", "x" * 3000, "²", "0001-01-01T00:00Z", "700000d"],
)
async def test_no_filter_breaks_a_page(reader: Visitor, query: str, text: str) -> None:
    for path in ("/deliveries", "/users", "/audit", "?window=x"):
        joint = "&" if "?" in path else "?"
        answer = await reader.get(f"{path}{joint}{query}={text}")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")


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

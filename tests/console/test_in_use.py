"""What an operator needs to see: where they are, who is who, and what is no longer so."""

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import webhook_bytes, with_data
from tests.commands.arrivals import quarantined
from tests.console.everything import everything
from tests.console.operator_actions import A_MISSED_WEBHOOK
from tests.console.routes import ACTIONABLE
from tests.console.visitors import OPERATOR, TOKENS, Visitor, visitor_of
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import Service, running_service

A_WEBHOOK = """
insert into sync_journal (svix_id, source, outcome) values ('msg_any', 'webhook', 'unchanged')
"""
FILL = """
insert into users (
    clerk_id, email, first_name, last_name, clerk_updated_at, observed_at, digest, synced_by,
    created_at)
select 'user_' || n, 'person' || n || '@example.com', 'First' || n, 'Last' || n, now(), now(), '',
    'webhook', now() - interval '1 min' * n
from generate_series(1, 200) as n
"""


@pytest.mark.parametrize(
    ("settings", "name", "colour"),
    [
        ({}, "development", "blue"),
        ({"environment_name": "shop staging"}, "shop staging", "blue"),
        ({"environment_name": "<b>x", "environment_colour": "purple"}, "&lt;b&gt;x", "purple"),
    ],
)
async def test_every_page_and_confirmation_says_where_it_is(
    *, own_clerk: ClerkEmulator, store_url: str, sql: Sql, settings: dict[str, Any], name: str,
    colour: str, database: Any,
) -> None:  # fmt: skip
    async with (
        running_service(own_clerk, store_url, **TOKENS, **settings) as service,
        visitor_of(service.app) as visitor,
    ):
        signing_in = (await visitor.get("/sign-in")).text
        await visitor.sign_in(OPERATOR)
        pages = {
            path: (await visitor.get(path)).text for path in ("", "/users", "/nothing", "/audit")
        }
        here = await everything(visitor, own_clerk, database, sql, text="Ada")
        for path in ACTIONABLE:
            answer = await visitor.http.get(here.at(path))
            assert answer.status_code == 200, path
            page = answer.text
            # Not in the header alone: beside the button too.
            assert f"<bdi>{name}</bdi>" in page.partition("<main")[2], path
            pages[path] = page
    for path, page in {**pages, "/sign-in": signing_in}.items():
        assert f"· {name} ·" in page.partition("</title>")[0], path
        header = page.partition("<header")[2].partition("</header>")[0]
        assert f"<bdi>{name}</bdi>" in header, path
        assert own_clerk.config.instance_id in header, path
        assert f"environment-{colour}" in header, path


async def test_a_trouble_links_to_its_page_of_the_documentations_site(
    clerk: ClerkEmulator, store_url: str, database: Any
) -> None:
    await quarantined(database, b"?", clerk_id=None)
    site = "https://docs.example.com/sync/"
    async with (
        running_service(clerk, store_url, **TOKENS, docs_url=site) as service,
        visitor_of(service.app) as visitor,
    ):
        await visitor.sign_in(OPERATOR)
        page = (await visitor.get()).text
    assert f'<a href="{site}operating/quarantine-fills.html"' in page


async def test_the_users_page_lists_the_newest(reader: Visitor, sql: Sql) -> None:
    assert "no users here yet" in (await reader.get("/users")).text
    await sql.execute(FILL)
    page = (await reader.get("/users")).text
    shown = re.findall(r"<code>(user_[0-9]+)</code>", page)
    assert shown == [f"user_{n}" for n in range(1, 51)]
    assert "First7 Last7" in page


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("person19", ["user_19", *(f"user_{n}" for n in range(190, 200))]),
        ("PERSON199@", ["user_199"]),
        ("first20", ["user_20", "user_200"]),
        ("Last3@", []),
        ("last77", ["user_77"]),
        ("%", []),
        ("_erson1", []),
        ("person", 50),
    ],
)
async def test_users_are_found_by_the_beginning_of_a_name_or_address(
    reader: Visitor, sql: Sql, text: str, found: list[str] | int
) -> None:
    await sql.execute(FILL)
    page = (await reader.get(f"/users?q={text.replace('%', '%25')}")).text
    shown = re.findall(r"<code>(user_[0-9]+)</code>", page)
    if isinstance(found, int):
        assert len(set(shown)) == found
    else:
        assert sorted(set(shown)) == sorted(found)


@pytest.mark.parametrize("name", ["İbrahim", "ΓΙΩΡΓΟΣ", "Straße", "ÉMILE"])
async def test_a_name_is_found_as_it_stands(reader: Visitor, sql: Sql, name: str) -> None:
    await sql.execute(FILL)
    await sql.execute("update users set last_name = $1 where clerk_id = 'user_7'", name)
    page = (await reader.get(f"/users?q={quote(name)}")).text
    assert set(re.findall(r"<code>(user_[0-9]+)</code>", page)) == {"user_7"}


async def test_a_very_long_name_is_stored_all_the_same(service: Service, sql: Sql) -> None:
    """Longer than an entry of an index may be."""
    name = "".join(chr(0x4E00 + n % 20_000) for n in range(5000))
    assert (await service.deliver(with_data(first_name=name, last_name=name))).status_code == 204
    assert await sql.fetchval("select length(first_name) from users") == 5000


async def test_beside_an_id_stands_the_name(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(
        email_address=["named@example.com"], first_name="Ada", last_name="Lovelace"
    )["id"]
    await operator.confirm(f"/users/{person}/sync")
    await sql.execute("update operator_actions set who = target where target is not null")
    for path in ("/deliveries", "/audit"):
        page = (await operator.get(path)).text
        assert f'<bdi>Ada Lovelace</bdi> <a href="/console/users/{person}"' in page, path
    entry = await sql.fetchval("select max(id) from sync_journal")
    assert "<bdi>Ada Lovelace</bdi>" in (await operator.get(f"/deliveries/{entry}")).text


async def ended(sql: Sql) -> bool:
    return bool(await sql.fetchval("select bool_and(result is not null) from operator_actions"))


@pytest.fixture
async def differing(own_clerk: ClerkEmulator, own_operator: Visitor, sql: Sql) -> list[str]:
    """Two rows that differ from Clerk, and a check that has found them."""
    people = [own_clerk.create_user(email_address=[f"{n}@example.com"])["id"] for n in range(2)]
    for person in people:
        await own_operator.confirm(f"/users/{person}/sync")
    await sql.execute(
        "update users set email = 'wrong', digest = '\\x00', observed_at = observed_at - interval '1 h'"
    )
    await own_operator.confirm("/drift/check")
    await eventually(lambda: ended(sql))
    page = (await own_operator.get("/drift")).text
    assert page.count("chip-differing") == 2
    return people


async def test_a_repaired_row_no_longer_differs(
    own_operator: Visitor, differing: list[str], sql: Sql
) -> None:
    await own_operator.confirm("/drift/repair")
    await eventually(lambda: ended(sql))
    page = (await own_operator.get("/drift")).text
    assert (page.count("chip-differing"), page.count("chip-repaired")) == (0, 2)


async def test_a_row_that_is_synced_after_the_check_no_longer_differs(
    own_operator: Visitor, differing: list[str], sql: Sql
) -> None:
    await sql.execute(A_WEBHOOK)
    assert "2 users differed" in (await own_operator.get()).text
    await own_operator.confirm(f"/users/{differing[0]}/sync")
    page = (await own_operator.get("/drift")).text
    assert (page.count("chip-differing"), page.count("chip-changed-since")) == (1, 1)
    assert "1 user differed" in (await own_operator.get()).text
    await own_operator.confirm(f"/users/{differing[1]}/sync")
    assert "In agreement with Clerk" in (await own_operator.get()).text


async def test_a_row_that_is_only_seen_anew_after_the_check_no_longer_differs(
    own_clerk: ClerkEmulator, own_operator: Visitor, sql: Sql
) -> None:
    person = own_clerk.create_user(email_address=["missed@example.com"])["id"]
    await own_operator.confirm(f"/users/{person}/sync")
    await sql.execute(A_MISSED_WEBHOOK)
    await sql.execute(A_WEBHOOK)
    await own_operator.confirm("/drift/check")
    await eventually(lambda: ended(sql))
    assert "1 user differed" in (await own_operator.get()).text
    await own_operator.confirm(f"/users/{person}/sync")
    page = (await own_operator.get("/drift")).text
    assert (page.count("chip-differing"), page.count("chip-changed-since")) == (0, 1)
    assert "In agreement with Clerk" in (await own_operator.get()).text


async def test_a_user_deleted_at_clerk_differs_until_the_row_is_a_tombstone(
    own_clerk: ClerkEmulator, own_operator: Visitor, sql: Sql
) -> None:
    """What arrives late about them changes the row, and leaves it live."""
    people = [own_clerk.create_user(email_address=[f"{n}@example.com"])["id"] for n in range(2)]
    for person in people:
        await own_operator.confirm(f"/users/{person}/sync")
    own_clerk.delete_user(people[0])
    await sql.execute(A_WEBHOOK)
    await own_operator.confirm("/drift/check")
    await eventually(lambda: ended(sql))
    await sql.execute("update users set last_synced_at = clock_timestamp(), observed_at = now()")
    page = (await own_operator.get("/drift")).text
    assert (page.count("chip-deleted"), page.count("chip-changed-since")) == (1, 0)
    assert "1 user differed" in (await own_operator.get()).text
    await own_operator.confirm(f"/users/{people[0]}/sync")
    page = (await own_operator.get("/drift")).text
    assert (page.count("chip-deleted"), page.count("chip-changed-since")) == (0, 1)
    assert "In agreement with Clerk" in (await own_operator.get()).text


async def test_clerks_silence_is_on_the_overview(
    service: Service, reader: Visitor, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    assert "The last webhook arrived" in (await reader.get()).text
    await sql.execute("update sync_journal set received_at = now() - interval '3 days'")
    page = (await reader.get()).text
    assert '<h1 id="summary">The last webhook arrived 3\u00a0d ago' in page
    assert "look at the endpoint" in page.lower()


async def test_users_who_are_at_clerk_alone_are_on_the_overview_with_what_to_run(
    own_clerk: ClerkEmulator, own_operator: Visitor
) -> None:
    own_clerk.create_users(7)
    own_clerk.calls.clear()
    for _ in range(3):
        page = (await own_operator.get()).text
        assert "Clerk has 7 users, and none of them is here" in page
        assert "python -m scripts.replay_webhooks backfill" in page
    assert own_clerk.calls.count("GetUsersCount") == 1


async def test_with_users_here_clerk_is_not_asked_how_many_it_has(
    service: Service, reader: Visitor, clerk: ClerkEmulator
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    clerk.calls.clear()
    await reader.get()
    assert clerk.calls.count("GetUsersCount") == 0


async def test_all_ages_on_a_page_are_counted_to_one_time(
    service: Service, reader: Visitor, sql: Sql
) -> None:
    await service.deliver(webhook_bytes("user.created"))
    await sql.execute("update sync_journal set received_at = now() - interval '95 seconds'")
    page = (await reader.get()).text
    now = datetime.fromisoformat(
        re.findall(r'<body data-now="([^"]+)"', page)[0].replace("&#43;", "+")
    )
    assert abs((datetime.now(UTC) - now).total_seconds()) < 5
    # The sentence, and the tile below it.
    assert page.replace("\u00a0", " ").count("2 min ago") >= 2

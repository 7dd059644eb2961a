"""A user's page as a story, names beside ids, and pages that lead on."""

import re

import pytest

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, webhook_bytes, with_data
from tests.commands.arrivals import quarantined
from tests.console.visitors import Visitor
from tests.postgres_server import Sql
from tests.running import Service

ANOTHER = """
insert into users (clerk_id, external_id, clerk_updated_at, observed_at, digest, synced_by, last_synced_at)
values ('user_another', $1, now(), now(), '', 'webhook', now() + interval '1 min') returning id
"""


@pytest.mark.parametrize(
    ("events", "locked", "state", "words"),
    [
        ([], False, "", ["Their first request asks Clerk", "no row", "401 user_unknown"]),
        (["user.created"], False, "live", ["are served.", "is live. Last", "token is refused"]),
        (["user.created"], True, "locked", ["are served.", "cannot sign in", "Unlock it"]),
        (["user.updated.banned"], False, "banned", ["403 user_banned.", "banned", "lift the ban"]),
        (
            ["user.created", "user.deleted"],
            *(False, "deleted", ["401 user_deleted.", "tombstone came", "They sign up again"]),
        ),
    ],
)
async def test_a_page_begins_with_whether_they_get_in_and_why_and_what_to_do(
    *,
    service: Service,
    reader: Visitor,
    sql: Sql,
    events: list[str],
    locked: bool,
    state: str,
    words: list[str],
) -> None:
    for event in events:
        await service.deliver(webhook_bytes(event))
    await sql.execute("update users set locked = $1", locked)
    page = (await reader.get(f"/users/{ADA}")).text
    admission = page.partition('id="admission">')[2].partition("</section>")[0]
    assert words[0] in admission.partition("</h2>")[0]
    assert words[1] in admission.partition("<dt>Why</dt>")[2].partition("</dd>")[0]
    assert words[2] in admission.partition("<dt>What to do</dt>")[2]
    assert (f'class="chip chip-{state}"' in page.partition('id="admission"')[0]) == bool(events)
    listed = (await reader.get("/users")).text
    assert (f'class="chip chip-{state}"' in listed) == bool(events)


@pytest.mark.parametrize("events", [[], ["user.created"], ["user.created", "user.deleted"]])
async def test_a_page_is_about_its_own_user_and_no_other_with_that_external_id(
    service: Service, reader: Visitor, sql: Sql, events: list[str]
) -> None:
    for event in events:
        await service.deliver(webhook_bytes(event))
    our_id = await sql.fetchval("select id from users where clerk_id = $1", ADA)
    another = await sql.fetchval(ANOTHER, ADA)
    page = (await reader.get(f"/users/{ADA}")).text
    assert str(another) not in page
    assert (str(our_id) in page) == bool(events)


async def test_fields_that_are_empty_are_named_and_not_listed(
    service: Service, reader: Visitor
) -> None:
    await service.deliver(with_data(username=None, external_id=None))
    page = (await reader.get(f"/users/{ADA}")).text
    beside = page.partition('id="at-clerk"')[2].partition("</section>")[0]
    assert re.search(r"Empty: [a-z_, ]*username, [a-z_, ]*external_id", beside)
    assert '<th scope="row">username' not in beside
    assert '<th scope="row">banned' in beside


async def test_users_without_a_name_have_their_address_beside_their_id(
    service: Service, reader: Visitor
) -> None:
    await service.deliver(with_data(first_name="", last_name=""))
    assert "<bdi>ada@example.com</bdi>" in (await reader.get("/deliveries")).text
    listed = (await reader.get("/users")).text
    assert '<span class="quiet">no name</span>' in listed


async def test_the_store_says_how_many_users_there_are(service: Service, reader: Visitor) -> None:
    await service.deliver(webhook_bytes("user.created"))
    page = (await reader.get()).text
    assert re.search(r'Users, with tombstones</h3><p><a href="/console/users">1</a>', page)


async def test_a_body_that_names_no_event_is_not_called_an_observation(
    reader: Visitor, database: Database, sql: Sql
) -> None:
    await quarantined(database, b"?", clerk_id=None)
    await sql.execute("update sync_journal set event_type = null")
    entry = await sql.fetchval("select id from sync_journal")
    assert "<bdi>Unreadable event</bdi>" in (await reader.get(f"/deliveries/{entry}")).text
    assert "<bdi>unreadable event</bdi>" in (await reader.get("/deliveries")).text


async def test_a_repair_is_offered_once_there_is_something_to_confirm_it_by(
    own_operator: Visitor,
) -> None:
    assert "Repair …" not in (await own_operator.get("/drift")).text
    refused = await own_operator.get("/drift/repair")
    assert (refused.status_code, '<a href="/console/drift">Back</a>' in refused.text) == (409, True)


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("/users/nobody", '<a href="/console/users">Back</a>'),
        ("/deliveries/999", '<a href="/console/deliveries">Back</a>'),
        (f"/users/{ADA}/trust-clerk", f'<a href="/console/users/{ADA}">Back</a>'),
        ("/nothing/like/that", '<a href="/console">To the overview</a>'),
    ],
)
async def test_a_refusal_leads_back(operator: Visitor, path: str, back: str) -> None:
    assert back in (await operator.get(path)).text


async def test_a_confirmation_names_the_user(operator: Visitor, clerk: ClerkEmulator) -> None:
    person = clerk.create_user(email_address=["nora@example.com"], first_name="Nora")["id"]
    page = (await operator.get(f"/users/{person}/sync")).text
    assert f'<bdi class="name">Nora</bdi> <bdi>{person}</bdi>' in page

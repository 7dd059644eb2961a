"""`explain`: the history of one user, in words."""

from datetime import timedelta
from typing import Any

import pytest

from adapters.postgres.database import Database
from domain.drift import differing_fields
from domain.explain import beside, standing, why
from domain.journal import JOURNAL_OUTCOMES, JournalEntry
from domain.user import Source
from domain.words import span
from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA
from tests.commands.arrivals import happened, quarantined
from tests.commands.commands import Operator
from tests.console.subscribed import ERROR, Subscribed
from tests.people import at, deleted, new_id, user
from tests.postgres_server import Sql


def entry(outcome: str, **fields: Any) -> JournalEntry:
    return JournalEntry(
        **{
            "id": 1,
            "source": Source.WEBHOOK,
            "outcome": outcome,
            "received_at": at(0),
            "last_received_at": at(0),
            **fields,
        }
    )


def compared(outcome: str, observed: float, stored: float) -> JournalEntry:
    return entry(outcome, clerk_updated_at=at(observed), stored_updated_at=at(stored))


WORDS = {
    "created: there was no record": entry("created"),
    "updated: 2 h newer than the row": compared("updated", 7200, 0),
    "updated: the same version, seen later or with the greater digest": compared("updated", 1, 1),
    "unchanged: the contents were there already": entry("unchanged"),
    "unchanged: the contents were there already; delivered 3 times": entry(
        "unchanged", deliveries=3
    ),
    "stale: 12 s older than the row": compared("stale", 0, 12),
    "stale: the same version, seen earlier or with the lesser digest": compared("stale", 1, 1),
    "stale: older than the row": entry("stale"),
    "deleted: a tombstone from here on": entry("deleted"),
    "gone: refused, because the tombstone stands": entry("gone"),
    "quarantined: not applied (wrong_type)": entry("quarantined", error="wrong_type"),
    "dismissed: not applied (not_json), and given up": entry("dismissed", error="not_json"),
}


@pytest.mark.parametrize("words", WORDS)
def test_every_outcome_is_explained(words: str) -> None:
    assert why(WORDS[words]) == words


def test_no_outcome_is_without_words() -> None:
    assert {one.outcome for one in WORDS.values()} == JOURNAL_OUTCOMES


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "250 ms"),
        (12, "12 s"),
        (-12, "12 s"),
        (180, "3 min"),
        (7200, "2 h"),
        (259_200, "3 d"),
    ],
)
def test_a_duration_is_shown_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_the_state_of_a_record_in_words() -> None:
    user_id = new_id()
    assert standing(None) == "no record"
    assert standing(deleted(user_id)).startswith("deleted, a tombstone since 2026")
    assert standing(user(user_id, banned=True)).startswith("live, banned, at the version of 2026")


def test_the_differences_are_found_field_by_field() -> None:
    user_id = new_id()
    ours, clerks = user(user_id, email="old@x.io"), user(user_id, updated=5, email="new@x.io")
    differing = [one.field for one in beside(ours, clerks) if not one.same]
    assert differing == ["clerk_updated_at", "email", "first_name"]
    assert "exists" in [one.field for one in beside(deleted(user_id), clerks) if not one.same]


def test_fields_are_the_same_where_a_comparison_finds_no_difference() -> None:
    user_id = new_id()
    pairs = [({"seats": 1}, {"seats": True}), ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
    for ours, clerks in pairs:
        sides = user(user_id, public_metadata=ours), user(user_id, public_metadata=clerks)
        differing = [one.field for one in beside(*sides) if not one.same]
        assert differing == [*differing_fields(*sides)]


async def test_a_whole_history_is_shown_in_order(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.updated", svix_id="msg_2")
    await happened(database, "user.created", svix_id="msg_1")
    await quarantined(database, b"{}", svix_id="msg_3")
    await happened(database, "user.deleted", svix_id="msg_4")
    records = (await operator.run("explain", ADA, "--json")).records
    told = [one for one in records if "change" not in one]
    assert [(one.get("svix_id"), one.get("words", "").split(":")[0]) for one in told] == [
        ("msg_2", "created"),
        ("msg_1", "stale"),
        ("msg_3", "quarantined"),
        ("msg_4", "deleted"),
        (None, ""),
    ]
    assert told[-1]["standing"].startswith("deleted, a tombstone since")


async def test_a_person_reads_when_it_happened_when_we_saw_it_and_why(
    operator: Operator, database: Database
) -> None:
    await happened(database, "user.updated", svix_id="msg_2")
    await happened(database, "user.created", svix_id="msg_1")
    ended = await operator.run("explain", ADA)
    assert ended.code == 0
    assert "webhook user.created msg_1, happened 2025-10-09T" in ended.said
    assert "older than the row" in ended.said
    assert "Now: live, at the version of 2025-10-09T" in ended.said


async def test_clerks_answer_is_compared_field_by_field(
    clerk: ClerkEmulator, operator: Operator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["grace@example.com"], first_name="Grace")
    told = (await operator.run("explain", person["id"], "--live", "--json")).records
    fields = {one["field"]: (one["ours"], one["clerks"]) for one in told if "field" in one}
    assert fields["exists"] == (False, True)
    assert fields["first_name"] == (None, "Grace")


async def test_what_a_person_wrote_commands_no_terminal(
    clerk: ClerkEmulator, operator: Operator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["x@example.com"], first_name="\x1b[31mred")
    ended = await operator.run("explain", person["id"], "--live")
    assert "\x1b" not in ended.out
    assert "x1b[31mred" in ended.out


@pytest.mark.parametrize(
    ("user_id", "words"),
    [
        ("user_nobody", "Nothing is known about user_nobody here; --live asks Clerk"),
        ("ada@example.com", "No user here has 'ada@example.com' as own id"),
        ("user_'; drop table users", "No user here has"),
    ],
)
async def test_an_unknown_user_is_said_to_be_one(
    operator: Operator, user_id: str, words: str
) -> None:
    ended = await operator.run("explain", user_id)
    assert (ended.code, words in ended.said) == (65, True)


async def test_a_user_that_is_nowhere_is_reported(operator: Operator) -> None:
    ended = await operator.run("explain", "user_nobody", "--live")
    assert (ended.code, "here or at Clerk" in ended.said) == (65, True)


async def test_a_deleted_user_comes_with_a_report_of_who_has_finished(
    operator: Operator, database: Database
) -> None:
    subscribed = Subscribed(database)
    await subscribed.prepare()
    bob = (await operator.run("explain", subscribed.bob, "--json")).records
    told = {one["subscription"]: one for one in bob if "subscription" in one}
    assert {name: (one["state"], one["left"]) for name, one in told.items()} == {
        "crm": ("not finished", 2),
        "mail": ("not finished", 1),
        "purge": ("finished", 0),
    }
    said = (await operator.run("explain", subscribed.bob)).said
    assert "Finished with this user: crm: not finished, 2 changes left" in said
    assert f"the deletion: to be tried again after 2 failures: {ERROR}" in said
    assert "purge: finished; the deletion: delivered" in said
    assert (
        "mail: not told; the deletion: given up"
        in (await operator.run("explain", subscribed.cyd)).said
    )
    assert "Finished with" not in (await operator.run("explain", subscribed.ada)).said

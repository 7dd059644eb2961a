"""Subscriptions in the console: what a reader sees, and what an operator does about them."""

import re

import pytest

from adapters.postgres.database import Database
from service.console.users import CHANGES_SHOWN
from tests.console.subscribed import ERROR, Subscribed
from tests.console.visitors import Visitor
from tests.people import deleted, observed, user
from tests.postgres_server import Sql

LAST_ACTION = """
select who, action, target, result from operator_actions where action like 'changes %'
order by id desc limit 1
"""


@pytest.fixture
async def subscribed(database: Database) -> Subscribed:
    subscribed = Subscribed(database)
    await subscribed.prepare()
    return subscribed


def words_of(html: str) -> str:
    """What of a page's content can be read."""
    main = html.partition("<main")[2].partition(">")[2]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


async def text_of(visitor: Visitor, path: str) -> str:
    answer = await visitor.get(path)
    assert answer.status_code == 200
    return words_of(answer.text)


async def test_without_a_subscription_the_page_says_how_one_begins(reader: Visitor) -> None:
    assert "There are no subscriptions yet" in await text_of(reader, "/subscriptions")


async def test_the_list_says_how_each_stands(reader: Visitor, subscribed: Subscribed) -> None:
    assert subscribed.ada
    text = await text_of(reader, "/subscriptions")
    assert "crm paused every change; not from backfill 5 changes, " in text
    assert "0 0 0 no process" in text
    assert "mail running every change; not from backfill none 1 1 1 41@shop mail" in text
    assert "purge running deleted; not from backfill none 0 0 0 41@shop purge" in text


async def test_the_overview_tells_of_a_subscription_in_trouble(
    reader: Visitor, subscribed: Subscribed
) -> None:
    assert subscribed.ada
    page = (await reader.get()).text
    text = words_of(page)
    assert text.startswith("The subscription crm is paused: the receiver answered 410 Gone")
    assert 'data-copy="python -m scripts.replay_webhooks changes resume crm"' in page
    assert '<a href="/console/subscriptions">To the subscriptions</a>' in page
    assert "More: docs/operating/a-subscription-is-stuck.md" in text


async def test_a_subscription_shows_what_it_has_set_aside_with_the_users_name(
    reader: Visitor, subscribed: Subscribed
) -> None:
    text = await text_of(reader, "/subscriptions/mail")
    assert f"Change 1 Ada 2 {subscribed.ada} parked 8 {ERROR}" in text
    assert f"5 {subscribed.bob} waiting next try in 2 min 2 {ERROR}" in text
    assert f"6 {subscribed.cyd} given up 8 {ERROR}" in text
    assert text.index("waiting next try") < text.index("given up 8")


async def test_a_paused_subscription_says_why_and_is_resumed(
    operator: Visitor, subscribed: Subscribed, sql: Sql
) -> None:
    text = await text_of(operator, "/subscriptions/crm")
    assert "the receiver answered 410 Gone" in text
    assert "continues after position 1" in await text_of(operator, "/subscriptions/crm/resume")
    await operator.confirm("/subscriptions/crm/resume")
    assert tuple(await sql.fetchrow(LAST_ACTION) or ()) == (
        "operator token",
        "changes resume",
        "crm",
        "resumed",
    )
    assert await subscribed.store.take("crm", "another", 60) == 1
    assert (await operator.get("/subscriptions/crm/resume")).status_code == 409
    assert "resumed" in await text_of(operator, "/subscriptions/crm")


async def test_all_waiting_and_parked_changes_are_tried_again_and_no_other(
    operator: Visitor, subscribed: Subscribed, sql: Sql
) -> None:
    assert "2 waiting or parked changes will be tried again" in await text_of(
        operator, "/subscriptions/mail/retry"
    )
    await operator.confirm("/subscriptions/mail/retry")
    assert await subscribed.states() == [(1, "waiting"), (5, "waiting"), (6, "given_up")]
    assert [one.pause <= 0 for one in await subscribed.store.set_aside("mail", 9)] == [True] * 3
    row = await sql.fetchrow(LAST_ACTION)
    assert row is not None
    assert tuple(row)[1:] == ("changes retry", "mail", "2 changes to be tried again")


@pytest.mark.parametrize(
    ("action", "position", "states"),
    [
        ("skip", 5, [(1, "parked"), (5, "skipping"), (6, "given_up")]),
        ("skip", 1, [(1, "skipping"), (5, "waiting"), (6, "given_up")]),
        ("retry", 1, [(1, "waiting"), (5, "waiting"), (6, "given_up")]),
    ],
)
async def test_one_change_is_tried_or_given_up(
    *,
    operator: Visitor,
    subscribed: Subscribed,
    sql: Sql,
    action: str,
    position: int,
    states: list[tuple[int, str]],
) -> None:
    await operator.confirm(f"/subscriptions/mail/{action}?position={position}")
    assert await subscribed.states() == states
    detail = await sql.fetchval("select detail from operator_actions order by id desc limit 1")
    assert str(position) in str(detail)


async def test_what_was_confirmed_is_done_or_nothing(
    operator: Visitor, subscribed: Subscribed, sql: Sql
) -> None:
    answer = await operator.confirm("/subscriptions/mail/skip", confirmed="7")
    assert answer.status_code == 409
    assert (await subscribed.states())[0] == (1, "parked")
    assert await sql.fetchrow(LAST_ACTION) is None
    assert (await operator.get("/subscriptions/mail/skip?position=6")).status_code == 409
    assert (await operator.get("/subscriptions/mail/skip?position=x")).status_code == 400
    assert (await operator.get("/subscriptions/nothing/skip")).status_code == 404


@pytest.mark.parametrize(
    ("to", "position", "words"),
    [
        ("oldest", 0, "6 changes will be delivered again, if wanted"),
        ("4", 4, "2 changes will be delivered again"),
        ("now", 6, "at position 6, and will continue after 6."),
    ],
)
async def test_a_subscription_starts_over_from_a_place(
    operator: Visitor, subscribed: Subscribed, to: str, position: int, words: str
) -> None:
    path = f"/subscriptions/mail/rewind?to={to}"
    assert words in await text_of(operator, path)
    await operator.confirm(path)
    assert await subscribed.position("mail") == position


async def test_a_step_ahead_says_what_is_never_delivered(
    operator: Visitor, subscribed: Subscribed
) -> None:
    assert subscribed.ada
    text = await text_of(operator, "/subscriptions/crm/rewind?to=now")
    assert "5 changes will never be delivered" in text
    for to in ("", "yesterday", "7", "-1", "9" * 30):
        assert (await operator.get(f"/subscriptions/crm/rewind?to={to}")).status_code == 400


async def test_a_reader_looks_and_does_nothing(
    reader: Visitor, subscribed: Subscribed, sql: Sql
) -> None:
    page = (await reader.get("/subscriptions/mail")).text
    assert "/retry" not in page
    assert "/rewind" not in page
    for action in ("retry", "skip", "resume", "rewind"):
        assert (await reader.get(f"/subscriptions/mail/{action}")).status_code == 403
        assert (await reader.post(f"/subscriptions/mail/{action}")).status_code == 403
    assert (await subscribed.states())[0] == (1, "parked")
    assert await sql.fetchrow(LAST_ACTION) is None


async def test_a_users_page_tells_what_became_of_each_change(
    reader: Visitor, subscribed: Subscribed
) -> None:
    text = await text_of(reader, f"/users/{subscribed.ada}")
    assert f"mail : parked after 8 tries: {ERROR}" in text
    assert "mail : held back by change 1" in text
    assert "email, first_name by just in time, position 4" in text
    assert "finished with this user" not in text


async def test_a_deleted_users_page_reports_which_subscriptions_have_finished(
    reader: Visitor, subscribed: Subscribed
) -> None:
    bob = await text_of(reader, f"/users/{subscribed.bob}")
    assert "crm not finished not delivered yet 2" in bob
    assert f"mail not finished to be tried again after 2 failures: {ERROR} 1" in bob
    assert "purge finished delivered 0" in bob
    cyd = await text_of(reader, f"/users/{subscribed.cyd}")
    assert "mail not told given up 0" in cyd


async def test_of_many_changes_the_newest_are_shown_and_of_a_deleted_user_all_are_counted(
    reader: Visitor, subscribed: Subscribed
) -> None:
    versions = [user(subscribed.ada, updated=version) for version in range(3, 3 + CHANGES_SHOWN)]
    await subscribed.users.sync_many([observed(version) for version in versions])
    newest = await subscribed.log.number()
    text = await text_of(reader, f"/users/{subscribed.ada}")
    assert text.count("held back by change 1") == CHANGES_SHOWN
    assert f"position {newest}" in text
    assert ", position 4 " not in text
    assert f"These are the newest {CHANGES_SHOWN}." in text
    await subscribed.users.sync(observed(deleted(subscribed.ada, when=900)))
    await subscribed.log.number()
    text = await text_of(reader, f"/users/{subscribed.ada}")
    assert f"mail not finished held back by change 1 {CHANGES_SHOWN + 3}" in text

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.clerk.http import HttpClient
from domain.errors import IdentityProviderUnavailable
from domain.user import User, UserId
from tests.adapters.clerk.http_server import Asked, HttpServer, Reply, http_date, json_reply
from tests.adapters.clerk.listings import PEOPLE, counted, ids, listing, lists, person, sizes
from tests.adapters.clerk.payloads import api_bytes
from tests.adapters.clerk.providers import provider


async def test_every_user_comes_once_in_pages_of_five_hundred(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = listing(PEOPLE)
    users: list[User] = []
    async for page in provider(client).pages():
        assert len(page.users) <= 500
        users.extend(page.users)
    assert [user.clerk_id for user in users] == [one["id"] for one in PEOPLE]


async def test_the_walk_is_by_cursor_in_creation_order(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = listing(PEOPLE)
    await ids(provider(client).pages())
    assert [asked.raw_query for asked in lists(clerk)] == [
        "limit=500&order_by=%2Bcreated_at",
        "limit=500&order_by=%2Bcreated_at&starting_after=user_00499",
        "limit=500&order_by=%2Bcreated_at&starting_after=user_00999",
    ]


async def test_a_walk_can_be_resumed(clerk: HttpServer, client: HttpClient) -> None:
    clerk.reply = listing(PEOPLE)
    rest = await ids(provider(client).pages(starting_after=UserId("user_01200")))
    assert rest == ["user_01201", "user_01202"]


@pytest.mark.parametrize("size", [0, 1, 499, 500])
async def test_the_walk_ends(clerk: HttpServer, client: HttpClient, size: int) -> None:
    clerk.reply = listing(PEOPLE[:size])
    assert len(await ids(provider(client).pages())) == size


def capped(people: Sequence[dict[str, Any]], most: int, *, cursor: bool = True) -> Any:
    """A list behind a proxy that allows no page of more than `most` users."""
    answer = listing(people, cursor=cursor)

    def through_the_proxy(asked: Asked) -> Reply:
        if "limit" in asked.query:
            asked.query["limit"] = [str(min(most, int(asked.query["limit"][0])))]
        reply: Reply = answer(asked)
        return reply

    return through_the_proxy


@pytest.mark.parametrize("most", [1, 2, 7, 20, 49, 50, 100, 499])
@pytest.mark.parametrize("cursor", [True, False])
async def test_pages_that_are_shorter_than_asked_for_end_no_walk(
    clerk: HttpServer, client: HttpClient, most: int, cursor: bool
) -> None:
    people = PEOPLE[:128] if most < 50 else PEOPLE
    clerk.reply = capped(people, most, cursor=cursor)
    everybody = [one["id"] for one in people]
    assert await ids(provider(client, max_rate=100_000).pages()) == everybody


@pytest.mark.parametrize("most", [2, 7, 100, 499])
async def test_nor_do_deletions_meanwhile_where_pages_are_shorter_than_asked_for(
    clerk: HttpServer, client: HttpClient, most: int
) -> None:
    """The users who were met and deleted are no longer counted."""
    people = PEOPLE[: 2 * most + 1]
    listed = capped(people, most)

    def answer(asked: Asked) -> Reply:
        reply: Reply = listed(asked)
        if len(clerk.asked) == 1:
            del people[0]
        return reply

    clerk.reply = answer
    everybody = [one["id"] for one in people]
    assert await ids(provider(client, max_rate=100_000).pages()) == everybody


@pytest.mark.parametrize("most", [1, 2, 20, 26, 49, 50, 100, 499])
async def test_nor_a_walk_of_the_last_updated(
    clerk: HttpServer, client: HttpClient, most: int
) -> None:
    people = PEOPLE[:128] if most < 50 else PEOPLE
    clerk.reply = capped(people, most)
    everybody = [one["id"] for one in people]
    assert await ids(provider(client, max_rate=100_000).newest_first()) == everybody


@pytest.mark.parametrize("size", [0, 1, 2, 25, 26, 49, 50, 51, 500, 525])
async def test_the_walk_of_the_last_updated_ends(
    clerk: HttpServer, client: HttpClient, size: int
) -> None:
    clerk.reply = listing(PEOPLE[:size])
    assert len(await ids(provider(client).newest_first())) == size
    assert len(clerk.asked) <= 3


@pytest.mark.parametrize("after", [None, UserId("user_00002")])
async def test_users_who_sign_up_at_every_request_do_not_prolong_a_walk(
    clerk: HttpServer, client: HttpClient, after: UserId | None
) -> None:
    people = PEOPLE[:9]
    soon = int(time.time() * 1000) + 60_000

    def answer(asked: Asked) -> Reply:
        reply: Reply = replace(
            listing(people)(asked), headers={"Date": http_date(datetime.now(UTC))}
        )
        people.append(person(len(people), created_at=soon))
        return reply

    clerk.reply = answer
    met = await ids(provider(client, max_rate=100_000).pages(starting_after=after))
    assert {one["id"] for one in PEOPLE[3:9]} <= {*met}
    assert len(lists(clerk)) == 2


@pytest.mark.parametrize("most", [7, 499])
async def test_nor_a_walk_that_is_resumed(clerk: HttpServer, client: HttpClient, most: int) -> None:
    clerk.reply = capped(PEOPLE[:128], most)
    rest = await ids(provider(client, max_rate=100_000).pages(starting_after=UserId("user_00099")))
    assert rest == [one["id"] for one in PEOPLE[100:128]]


@pytest.mark.parametrize(("counted", "is_refused"), [(49, False), (59, False), (60, True)])
async def test_a_list_that_lacks_many_of_those_whom_clerk_counts_is_refused(
    clerk: HttpServer, client: HttpClient, counted: int, is_refused: bool
) -> None:
    listed = listing(PEOPLE[:49])

    def answer(asked: Asked) -> Reply:
        is_count = asked.path.endswith("/count")
        reply: Reply = json_reply({"total_count": counted}) if is_count else listed(asked)
        return reply

    clerk.reply = answer
    walk = ids(provider(client).pages())
    if is_refused:
        with pytest.raises(IdentityProviderUnavailable, match="after 49 of 60 users"):
            await walk
    else:
        assert len(await walk) == 49


async def test_users_created_between_the_list_and_the_count_are_met(
    clerk: HttpServer, client: HttpClient
) -> None:
    people = PEOPLE[:3]

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/count"):
            counts = len(clerk.asked) - len(lists(clerk))
            if counts == 1:  # one is counted who is not listed yet, so that the walk goes on
                return json_reply({"total_count": 4})
            people.extend(PEOPLE[len(people) : 80])
        reply: Reply = listing(people)(asked)
        return reply

    clerk.reply = answer
    assert await ids(provider(client).pages()) == [one["id"] for one in PEOPLE[:80]]


async def test_a_list_that_ignores_the_cursor_ends_after_its_one_page(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = counted(json_reply(PEOPLE[:3]), 5)
    assert await ids(provider(client).pages()) == ["user_00000", "user_00001", "user_00002"]


async def test_recorded_users_are_read(clerk: HttpServer, client: HttpClient) -> None:
    clerk.reply = counted(Reply(body=api_bytes("list_users_200")), 2)
    assert await sizes(provider(client).pages()) == [2]


async def test_where_the_cursor_is_refused_the_offset_does(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = listing(PEOPLE, cursor=False)
    assert await ids(provider(client).pages()) == [one["id"] for one in PEOPLE]
    asked = [asked.query.get("offset") for asked in lists(clerk)]
    assert asked == [None, None, None, ["500"], ["1000"]]


async def test_where_the_cursors_user_was_deleted_the_one_before_does(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.replies(json_reply(PEOPLE[:500]), Reply(status=422, body=b"{}"), then=listing(PEOPLE))
    found = await ids(provider(client).pages())
    assert found[500:] == [one["id"] for one in PEOPLE[499:]]
    assert clerk.asked[2].query["starting_after"] == ["user_00498"]


async def test_the_last_updated_come_first_by_offset(clerk: HttpServer, client: HttpClient) -> None:
    clerk.reply = listing(PEOPLE)
    found = await ids(provider(client).newest_first())
    assert found == [one["id"] for one in PEOPLE]
    assert [asked.raw_query for asked in clerk.asked] == [
        "limit=50&order_by=-updated_at&offset=0",
        "limit=500&order_by=-updated_at&offset=25",
        "limit=500&order_by=-updated_at&offset=500",
        "limit=500&order_by=-updated_at&offset=975",
        "limit=500&order_by=-updated_at&offset=1178",
    ]


@pytest.mark.parametrize("deleted", [1, 24])
async def test_deletions_during_the_walk_hide_nobody(
    clerk: HttpServer, client: HttpClient, deleted: int
) -> None:
    """The users behind them move forward, onto the page that was already read."""
    clerk.replies(json_reply(PEOPLE[:50]), then=listing(PEOPLE[deleted:600]))
    assert await ids(provider(client).newest_first()) == [one["id"] for one in PEOPLE[:600]]


async def test_more_deletions_than_the_pages_overlap_end_the_walk(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.replies(json_reply(PEOPLE[:50]), then=listing(PEOPLE[25:600]))
    with pytest.raises(IdentityProviderUnavailable, match="too many users were deleted"):
        await ids(provider(client).newest_first())


async def test_updates_during_the_walk_show_users_twice_and_hide_nobody(
    clerk: HttpServer, client: HttpClient
) -> None:
    updated = [*PEOPLE[560:580], *PEOPLE[:560], *PEOPLE[580:600]]
    clerk.replies(json_reply(PEOPLE[:50]), then=listing(updated))
    found = set(await ids(provider(client).newest_first()))
    moved_to_the_front = {one["id"] for one in PEOPLE[560:580]}
    assert {one["id"] for one in PEOPLE[:600]} - found <= moved_to_the_front


@pytest.mark.parametrize("page", [PEOPLE[:50], [{}] * 50])
async def test_a_list_of_the_last_updated_that_does_not_advance_is_no_endless_walk(
    clerk: HttpServer, client: HttpClient, page: list[Any]
) -> None:
    clerk.reply = json_reply(page * 10)
    with pytest.raises(IdentityProviderUnavailable, match="does not advance"):
        await ids(provider(client).newest_first())
    assert len(clerk.asked) <= 2

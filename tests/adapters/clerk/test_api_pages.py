import json
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from domain.errors import CursorRefused, IdentityProviderUnavailable, SecretKeyRefused
from domain.user import User, UserId
from tests.adapters.clerk.http_server import Asked, HttpServer, Reply, json_reply
from tests.adapters.clerk.payloads import MISSING, UPDATED_MS, api_bytes, changed
from tests.adapters.clerk.providers import BAD_KEY, BROKEN, provider

USER = json.loads(api_bytes("get_user_200"))


def person(number: int, **changes: Any) -> dict[str, Any]:
    return changed(
        {**USER, "id": f"user_{number:05}", "updated_at": UPDATED_MS + number}, **changes
    )


def listing(people: Sequence[dict[str, Any]], *, cursor: bool = True) -> Any:
    """Clerk's list of users, with or without `starting_after`."""

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/count"):
            return json_reply({"total_count": len(people)})
        query = {name: values[0] for name, values in asked.query.items()}
        start = int(query.get("offset", 0))
        if "starting_after" in query:
            if not cursor:
                return json_reply({"errors": [{"code": "form_param_unknown"}]}, status=422)
            start = 1 + [one.get("id") for one in people].index(query["starting_after"])
        return json_reply(people[start : start + int(query.get("limit", 10))])

    return answer


def counted(reply: Reply, total: int) -> Any:
    """That reply to every request but one for the count."""
    return lambda asked: (
        json_reply({"total_count": total}) if asked.path.endswith("/count") else reply
    )


def lists(clerk: HttpServer) -> list[Asked]:
    """The requests but those for the count."""
    return [asked for asked in clerk.asked if not asked.path.endswith("/count")]


async def ids(pages: Any) -> list[str]:
    return [user.clerk_id async for page in pages for user in page.users]


async def sizes(pages: Any) -> list[int]:
    return [len(page.users) async for page in pages]


PEOPLE = [person(number) for number in range(1203)]


async def test_every_user_comes_once_in_pages_of_five_hundred(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = listing(PEOPLE)
    users: list[User] = []
    async for page in provider(client).pages():
        assert len(page.users) <= 500
        users.extend(page.users)
    assert [user.clerk_id for user in users] == [one["id"] for one in PEOPLE]


async def test_the_walk_is_by_cursor_in_creation_order(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = listing(PEOPLE)
    await ids(provider(client).pages())
    assert [asked.raw_query for asked in lists(clerk)] == [
        "limit=500&order_by=%2Bcreated_at",
        "limit=500&order_by=%2Bcreated_at&starting_after=user_00499",
        "limit=500&order_by=%2Bcreated_at&starting_after=user_00999",
    ]


async def test_a_walk_can_be_resumed(clerk: HttpServer, client: httpx.AsyncClient) -> None:
    clerk.reply = listing(PEOPLE)
    rest = await ids(provider(client).pages(starting_after=UserId("user_01200")))
    assert rest == ["user_01201", "user_01202"]


@pytest.mark.parametrize("size", [0, 1, 499, 500])
async def test_the_walk_ends(clerk: HttpServer, client: httpx.AsyncClient, size: int) -> None:
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
    clerk: HttpServer, client: httpx.AsyncClient, most: int, cursor: bool
) -> None:
    people = PEOPLE[:128] if most < 50 else PEOPLE
    clerk.reply = capped(people, most, cursor=cursor)
    everybody = [one["id"] for one in people]
    assert await ids(provider(client, max_rate=100_000).pages()) == everybody


@pytest.mark.parametrize("most", [7, 499])
async def test_nor_a_walk_that_is_resumed(
    clerk: HttpServer, client: httpx.AsyncClient, most: int
) -> None:
    clerk.reply = capped(PEOPLE[:128], most)
    rest = await ids(provider(client, max_rate=100_000).pages(starting_after=UserId("user_00099")))
    assert rest == [one["id"] for one in PEOPLE[100:128]]


@pytest.mark.parametrize(("counted", "is_refused"), [(49, False), (59, False), (60, True)])
async def test_a_list_that_lacks_many_of_those_whom_clerk_counts_is_refused(
    clerk: HttpServer, client: httpx.AsyncClient, counted: int, is_refused: bool
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
    clerk: HttpServer, client: httpx.AsyncClient
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
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = counted(json_reply(PEOPLE[:3]), 5)
    assert await ids(provider(client).pages()) == ["user_00000", "user_00001", "user_00002"]


async def test_recorded_users_are_read(clerk: HttpServer, client: httpx.AsyncClient) -> None:
    clerk.reply = counted(Reply(body=api_bytes("list_users_200")), 2)
    assert await sizes(provider(client).pages()) == [2]


async def test_where_the_cursor_is_refused_the_offset_does(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = listing(PEOPLE, cursor=False)
    assert await ids(provider(client).pages()) == [one["id"] for one in PEOPLE]
    asked = [asked.query.get("offset") for asked in lists(clerk)]
    assert asked == [None, None, None, ["500"], ["1000"]]


async def test_where_the_cursors_user_was_deleted_the_one_before_does(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.replies(json_reply(PEOPLE[:500]), Reply(status=422, body=b"{}"), then=listing(PEOPLE))
    found = await ids(provider(client).pages())
    assert found[500:] == [one["id"] for one in PEOPLE[499:]]
    assert clerk.asked[2].query["starting_after"] == ["user_00498"]


async def test_the_last_updated_come_first_by_offset(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = listing(PEOPLE)
    found = await ids(provider(client).newest_first())
    assert found == [one["id"] for one in PEOPLE]
    assert [asked.raw_query for asked in clerk.asked] == [
        "limit=50&order_by=-updated_at&offset=0",
        "limit=500&order_by=-updated_at&offset=25",
        "limit=500&order_by=-updated_at&offset=500",
        "limit=500&order_by=-updated_at&offset=975",
    ]


@pytest.mark.parametrize("deleted", [1, 24])
async def test_deletions_during_the_walk_hide_nobody(
    clerk: HttpServer, client: httpx.AsyncClient, deleted: int
) -> None:
    """The users behind them move forward, onto the page that was already read."""
    clerk.replies(json_reply(PEOPLE[:50]), then=listing(PEOPLE[deleted:600]))
    assert await ids(provider(client).newest_first()) == [one["id"] for one in PEOPLE[:600]]


async def test_more_deletions_than_the_pages_overlap_end_the_walk(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.replies(json_reply(PEOPLE[:50]), then=listing(PEOPLE[25:600]))
    with pytest.raises(IdentityProviderUnavailable, match="too many users were deleted"):
        await ids(provider(client).newest_first())


async def test_updates_during_the_walk_show_users_twice_and_hide_nobody(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    updated = [*PEOPLE[560:580], *PEOPLE[:560], *PEOPLE[580:600]]
    clerk.replies(json_reply(PEOPLE[:50]), then=listing(updated))
    found = set(await ids(provider(client).newest_first()))
    moved_to_the_front = {one["id"] for one in PEOPLE[560:580]}
    assert {one["id"] for one in PEOPLE[:600]} - found <= moved_to_the_front


@pytest.mark.parametrize("page", [PEOPLE[:50], [{}] * 50])
async def test_a_list_of_the_last_updated_that_does_not_advance_is_no_endless_walk(
    clerk: HttpServer, client: httpx.AsyncClient, page: list[Any]
) -> None:
    clerk.reply = json_reply(page * 10)
    with pytest.raises(IdentityProviderUnavailable, match="does not advance"):
        await ids(provider(client).newest_first())
    assert len(clerk.asked) <= 2


async def test_the_instance_ids_are_the_ids_of_the_keys(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = json_reply({"keys": [{"kid": "ins_ours"}, {}, None]})
    assert await provider(client).instance_ids() == {"ins_ours"}


@pytest.mark.parametrize("value", [[], {}, {"keys": None}])
async def test_an_answer_that_is_not_a_key_set_is_unavailable(
    clerk: HttpServer, client: httpx.AsyncClient, value: Any
) -> None:
    clerk.reply = json_reply(value)
    with pytest.raises(IdentityProviderUnavailable):
        await provider(client).instance_ids()


async def test_a_refused_secret_key_has_its_own_error(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = BAD_KEY
    with pytest.raises(SecretKeyRefused):
        await ids(provider(client).pages())


async def test_a_refused_cursor_cannot_be_resumed_by_offset(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = listing(PEOPLE, cursor=False)
    with pytest.raises(CursorRefused):
        await ids(provider(client).pages(starting_after=UserId("user_00001")))


async def test_a_list_that_does_not_advance_ends_the_run(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = json_reply(PEOPLE[:500])
    with pytest.raises(IdentityProviderUnavailable, match="does not advance"):
        await ids(provider(client).pages())
    assert len(clerk.asked) == 2


async def test_a_page_without_known_ids_ends_the_run(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = json_reply([{}] * 500)
    with pytest.raises(IdentityProviderUnavailable, match="does not advance"):
        await ids(provider(client).pages())


async def test_unreadable_users_are_left_out_and_reported(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    people = [*PEOPLE[:3], person(3, updated_at=MISSING), {"id": 5}, None, PEOPLE[4]]
    clerk.reply = counted(json_reply(people), 7)
    [page] = [page async for page in provider(client).pages()]
    assert [user.clerk_id for user in page.users] == [
        "user_00000",
        "user_00001",
        "user_00002",
        "user_00004",
    ]
    assert [(one.clerk_id, one.reason) for one in page.left_out] == [
        ("user_00003", "no_updated_at"),
        ("?", "no_updated_at"),
        ("?", "not_an_object"),
    ]


async def test_an_unreadable_user_at_the_end_of_a_page_still_leads_to_the_next(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    people = [*PEOPLE[:499], person(499, first_name="\x00"), *PEOPLE[500:600]]
    clerk.reply = listing(people)
    assert len(await ids(provider(client).pages())) == 599


async def test_a_page_of_the_unreadable_alone_names_them(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.reply = json_reply([{}])
    [page] = [page async for page in provider(client).pages()]
    assert (page.users, [one.reason for one in page.left_out]) == ([], ["no_updated_at"])


@pytest.mark.parametrize("value", [{}, {"data": [USER]}, None, "x"])
async def test_an_answer_that_is_not_a_list_is_unavailable(
    clerk: HttpServer, client: httpx.AsyncClient, value: Any
) -> None:
    clerk.reply = json_reply(value)
    with pytest.raises(IdentityProviderUnavailable):
        await ids(provider(client).pages())


async def test_trouble_on_the_way_is_tried_again(
    clerk: HttpServer, client: httpx.AsyncClient
) -> None:
    clerk.replies(BROKEN, then=counted(json_reply(PEOPLE[:2]), 2))
    assert len(await ids(provider(client).pages())) == 2

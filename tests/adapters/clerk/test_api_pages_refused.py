"""Pages of users that cannot be read, or that do not advance."""

from typing import Any

import pytest

from adapters.clerk.http import HttpClient
from domain.errors import CursorRefused, IdentityProviderUnavailable, SecretKeyRefused
from domain.user import UserId
from tests.adapters.clerk.http_server import HttpServer, json_reply
from tests.adapters.clerk.listings import PEOPLE, USER, counted, ids, listing, person
from tests.adapters.clerk.payloads import MISSING
from tests.adapters.clerk.providers import BAD_KEY, BROKEN, provider


async def test_the_instance_ids_are_the_ids_of_the_keys(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = json_reply({"keys": [{"kid": "ins_ours"}, {}, None]})
    assert await provider(client).instance_ids() == {"ins_ours"}


@pytest.mark.parametrize("value", [[], {}, {"keys": None}])
async def test_an_answer_that_is_not_a_key_set_is_unavailable(
    clerk: HttpServer, client: HttpClient, value: Any
) -> None:
    clerk.reply = json_reply(value)
    with pytest.raises(IdentityProviderUnavailable):
        await provider(client).instance_ids()


async def test_a_refused_secret_key_has_its_own_error(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = BAD_KEY
    with pytest.raises(SecretKeyRefused):
        await ids(provider(client).pages())


async def test_a_refused_cursor_cannot_be_resumed_by_offset(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = listing(PEOPLE, cursor=False)
    with pytest.raises(CursorRefused):
        await ids(provider(client).pages(starting_after=UserId("user_00001")))


async def test_a_list_that_does_not_advance_ends_the_run(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = json_reply(PEOPLE[:500])
    with pytest.raises(IdentityProviderUnavailable, match="does not advance"):
        await ids(provider(client).pages())
    assert len(clerk.asked) == 2


async def test_a_page_without_known_ids_ends_the_run(clerk: HttpServer, client: HttpClient) -> None:
    clerk.reply = json_reply([{}] * 500)
    with pytest.raises(IdentityProviderUnavailable, match="does not advance"):
        await ids(provider(client).pages())


async def test_unreadable_users_are_left_out_and_reported(
    clerk: HttpServer, client: HttpClient
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
    clerk: HttpServer, client: HttpClient
) -> None:
    people = [*PEOPLE[:499], person(499, first_name="\x00"), *PEOPLE[500:600]]
    clerk.reply = listing(people)
    assert len(await ids(provider(client).pages())) == 599


async def test_a_page_of_the_unreadable_alone_names_them(
    clerk: HttpServer, client: HttpClient
) -> None:
    clerk.reply = json_reply([{}])
    [page] = [page async for page in provider(client).pages()]
    assert (page.users, [one.reason for one in page.left_out]) == ([], ["no_updated_at"])


@pytest.mark.parametrize("value", [{}, {"data": [USER]}, None, "x"])
async def test_an_answer_that_is_not_a_list_is_unavailable(
    clerk: HttpServer, client: HttpClient, value: Any
) -> None:
    clerk.reply = json_reply(value)
    with pytest.raises(IdentityProviderUnavailable):
        await ids(provider(client).pages())


async def test_trouble_on_the_way_is_tried_again(clerk: HttpServer, client: HttpClient) -> None:
    clerk.replies(BROKEN, then=counted(json_reply(PEOPLE[:2]), 2))
    assert len(await ids(provider(client).pages())) == 2

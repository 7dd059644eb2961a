"""`GET /v1/users` and its count: order, paging and filters."""

from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from tests.scripts.clerk_emulator.conftest import ManualClock, client_of


async def names(api: httpx.AsyncClient, params: dict[str, Any]) -> list[str]:
    response = await api.get("/v1/users", params=params)
    assert response.status_code == 200, response.text
    return [user["first_name"] for user in response.json()]


@pytest.fixture
def people(emulator: ClerkEmulator, clock: ManualClock) -> dict[str, str]:
    """Ann, Bob, Cid and Dee, created in this order, changed in another. Ids by name."""
    ids = {}
    for day, name in enumerate(("Ann", "Bob", "Cid", "Dee"), start=1):
        user = emulator.create_user(
            email_address=[f"{name}@example.com"],
            first_name=name,
            last_name="Smith" if name < "C" else "Jones",
            username=name.lower(),
            external_id=f"external-{name}",
            created_at=f"2026-01-0{day}T00:00:00Z",
        )
        ids[name] = user["id"]
    for name in ("Cid", "Ann", "Dee", "Bob"):
        clock.now += 1000
        emulator.edit_user(ids[name])
    return ids


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        (None, ["Dee", "Cid", "Bob", "Ann"]),
        ("-created_at", ["Dee", "Cid", "Bob", "Ann"]),
        ("+created_at", ["Ann", "Bob", "Cid", "Dee"]),
        ("created_at", ["Ann", "Bob", "Cid", "Dee"]),
        ("-updated_at", ["Bob", "Dee", "Ann", "Cid"]),
        ("+updated_at", ["Cid", "Ann", "Dee", "Bob"]),
    ],
)
@pytest.mark.usefixtures("people")
async def test_users_come_in_the_order_asked_for(
    api: httpx.AsyncClient, order_by: str | None, expected: list[str]
) -> None:
    params = {} if order_by is None else {"order_by": order_by}

    assert await names(api, params) == expected


async def test_of_several_orders_the_first_counts(
    api: httpx.AsyncClient, people: dict[str, str]
) -> None:
    assert await names(api, {"order_by": ["created_at", "-created_at"]}) == list(people)


@pytest.mark.usefixtures("people")
async def test_offset_and_limit_cut_a_page(api: httpx.AsyncClient) -> None:
    assert await names(api, {"limit": 2, "offset": 1}) == ["Cid", "Bob"]


async def test_ten_users_are_listed_unless_more_are_asked_for(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    emulator.create_users(12)

    assert len(await names(api, {})) == 10


@pytest.mark.parametrize("order", ["-created_at", "+created_at"])
async def test_the_cursor_returns_every_user_once(
    api: httpx.AsyncClient, people: dict[str, str], order: str
) -> None:
    walked, after = [], None
    while True:
        params = {"limit": 1, "order_by": order} | ({"starting_after": after} if after else {})
        page = await names(api, params)
        if not page:
            break
        walked += page
        after = people[page[-1]]

    assert walked == (list(people) if order == "+created_at" else list(people)[::-1])


async def test_the_cursor_returns_users_with_equal_times(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    ids = {emulator.create_user(username=f"user{number}")["id"] for number in range(9)}
    walked: list[str] = []

    while len(walked) < 9:
        cursor = {"starting_after": walked[-1]} if walked else {}
        response = await api.get("/v1/users", params={"limit": 2, **cursor})
        walked += [user["id"] for user in response.json()]

    assert set(walked) == ids


async def test_a_new_user_does_not_shift_the_cursor(
    api: httpx.AsyncClient, emulator: ClerkEmulator, people: dict[str, str]
) -> None:
    emulator.create_user(username="newcomer")

    assert await names(api, {"starting_after": people["Cid"]}) == ["Bob", "Ann"]


async def test_the_cursor_works_with_a_filter(
    api: httpx.AsyncClient, people: dict[str, str]
) -> None:
    wanted = [people["Ann"], people["Cid"], people["Dee"]]

    found = await names(api, {"starting_after": people["Dee"], "user_id": wanted, "limit": 1})

    assert found == ["Cid"]


@pytest.mark.parametrize(
    "params", [{"offset": 1}, {"order_by": "-updated_at"}, {"order_by": "+updated_at"}]
)
async def test_the_cursor_is_refused_with_an_offset_or_another_order(
    api: httpx.AsyncClient, people: dict[str, str], params: dict[str, Any]
) -> None:
    response = await api.get("/v1/users", params={"starting_after": people["Ann"], **params})

    assert response.status_code == 422


async def test_the_cursor_may_come_with_an_offset_of_zero(
    api: httpx.AsyncClient, people: dict[str, str]
) -> None:
    assert await names(api, {"starting_after": people["Bob"], "offset": 0}) == ["Ann"]


async def test_the_cursor_of_a_deleted_user_is_refused(
    api: httpx.AsyncClient, emulator: ClerkEmulator, people: dict[str, str]
) -> None:
    emulator.delete_user(people["Cid"])

    response = await api.get("/v1/users", params={"starting_after": people["Cid"]})

    assert response.status_code == 422


async def test_an_instance_can_refuse_every_cursor(signing_key: RSAPrivateKey) -> None:
    config = EmulatorConfig(starting_after=False)
    emulator = ClerkEmulator(config, signing_key=signing_key)
    user = emulator.create_user(username="ann")

    async with client_of(emulator) as api:
        response = await api.get("/v1/users", params={"starting_after": user["id"]})

    assert response.json()["errors"][0]["code"] == "form_param_unknown"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"email_address": ["ann@EXAMPLE.com", "dee@example.com"]}, "Dee Ann"),
        ({"email_address": ["ann@example.com", "dee@example.com"], "limit": 1}, "Dee"),
        ({"email_address": ["ann@example.com", "dee@example.com"], "offset": 1}, "Ann"),
        ({"email_address": "ann@example.com", "limit": 1}, "Ann"),
        ({"email_address": "nobody@example.com"}, ""),
    ],
)
@pytest.mark.usefixtures("people")
async def test_users_are_filtered_by_address(
    api: httpx.AsyncClient, params: dict[str, Any], expected: str
) -> None:
    assert await names(api, params) == expected.split()


@pytest.mark.parametrize(
    ("sign", "expected"), [("", "Cid Ann"), ("+", "Cid Ann"), ("-", "Dee Bob")]
)
async def test_users_can_be_asked_for_by_id_and_left_out_by_id(
    api: httpx.AsyncClient, people: dict[str, str], sign: str, expected: str
) -> None:
    params = {"user_id": [sign + people["Ann"], sign + people["Cid"]]}

    assert await names(api, params) == expected.split()


async def test_the_count_works_with_a_filter(
    api: httpx.AsyncClient, people: dict[str, str]
) -> None:
    params = {"user_id": [people["Ann"], people["Bob"], "user_nobody"]}

    response = await api.get("/v1/users/count", params=params)

    assert response.json() == {"object": "total_count", "total_count": 2}


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 501},
        {"limit": "many"},
        {"offset": -1},
        {"order_by": "shoe_size"},
        {"organization_id": "org_1"},
        {"query": "ann"},
        {"user_id": [f"user_{number}" for number in range(101)]},
        {"starting_after": "user_nobody"},
    ],
)
async def test_an_invalid_list_parameter_is_a_422(
    api: httpx.AsyncClient, params: dict[str, Any]
) -> None:
    response = await api.get("/v1/users", params=params)

    assert response.status_code == 422


async def test_many_users_are_made_at_once_and_paged_through(
    api: httpx.AsyncClient, emulator: ClerkEmulator
) -> None:
    emulator.create_users(5_000)
    walked: list[str] = []

    while len(walked) < 5_000:
        cursor = {"starting_after": walked[-1]} if walked else {}
        response = await api.get("/v1/users", params={"limit": 500, **cursor})
        walked += [user["id"] for user in response.json()]

    assert len(set(walked)) == 5_000

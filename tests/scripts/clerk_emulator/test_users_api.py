"""`/v1/users`: create, read, update and delete."""

import re
from typing import Any

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.scripts.clerk_emulator.conftest import ManualClock
from tests.scripts.clerk_emulator.examples import error_code, example, shape

ADA = {"email_address": ["ada@example.com"], "first_name": "Ada", "last_name": "Lovelace"}


async def create(api: httpx.AsyncClient, **params: Any) -> Any:
    response = await api.post("/v1/users", json=params)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_user_has_every_field_of_clerks_and_no_other(api: httpx.AsyncClient) -> None:
    user = await create(api, **ADA)

    assert user.keys() == example("get_user_200").keys()


@pytest.mark.parametrize(
    ("field", "of", "example_of"),
    [
        ("email_addresses", {"email_address": ["a@example.com"]}, "get_user_200"),
        ("phone_numbers", {"phone_number": ["+15555550100"]}, "user.created.phone_only"),
    ],
)
async def test_an_address_has_every_field_of_clerks(
    api: httpx.AsyncClient, field: str, of: dict[str, Any], example_of: str
) -> None:
    theirs = example(example_of)
    theirs = theirs.get("data", theirs)

    user = await create(api, **of)

    assert user[field][0].keys() == theirs[field][0].keys()


async def test_ids_have_clerks_shape(api: httpx.AsyncClient) -> None:
    user = await create(api, **ADA)

    assert re.fullmatch(r"user_[0-9A-Za-z]{27}", user["id"])
    assert re.fullmatch(r"idn_[0-9A-Za-z]{27}", user["email_addresses"][0]["id"])


async def test_the_first_address_is_the_primary_one(api: httpx.AsyncClient) -> None:
    user = await create(api, email_address=["first@example.com", "second@example.com"])

    assert user["primary_email_address_id"] == user["email_addresses"][0]["id"]


async def test_another_address_can_become_the_primary_one(api: httpx.AsyncClient) -> None:
    user = await create(api, email_address=["first@example.com", "second@example.com"])
    second = user["email_addresses"][1]["id"]

    response = await api.patch(f"/v1/users/{user['id']}", json={"primary_email_address_id": second})

    assert response.json()["primary_email_address_id"] == second


async def test_a_reserved_address_cannot_become_the_primary_one(
    api: httpx.AsyncClient,
) -> None:
    user = await create(
        api,
        email_address=["verified@example.com", "reserved@example.com"],
        email_address_identification_status=["verified", "reserved"],
    )
    reserved = user["email_addresses"][1]["id"]

    response = await api.patch(
        f"/v1/users/{user['id']}", json={"primary_email_address_id": reserved}
    )

    assert (response.status_code, error_code(response)) == (422, "form_param_value_invalid")


async def test_another_users_address_cannot_become_the_primary_one(
    api: httpx.AsyncClient,
) -> None:
    ada = await create(api, **ADA)
    bob = await create(api, email_address=["bob@example.com"])

    response = await api.patch(
        f"/v1/users/{ada['id']}",
        json={"primary_email_address_id": bob["primary_email_address_id"]},
    )

    assert (response.status_code, error_code(response)) == (422, "form_param_value_invalid")


async def test_a_reserved_address_has_no_verification(api: httpx.AsyncClient) -> None:
    user = await create(
        api,
        email_address=["reserved@example.com"],
        email_address_identification_status=["reserved"],
    )

    address = user["email_addresses"][0]
    assert (address["reserved"], address["verification"]) == (True, None)


async def test_a_password_is_not_kept(api: httpx.AsyncClient, emulator: ClerkEmulator) -> None:
    await create(api, **ADA, password="canary-of-a-password")

    assert "canary" not in repr(list(emulator.users))


async def test_a_user_with_a_password_says_so(api: httpx.AsyncClient) -> None:
    user = await create(api, **ADA, password="correct horse battery staple")

    assert user["password_enabled"] is True


async def test_created_at_can_be_given(api: httpx.AsyncClient) -> None:
    user = await create(api, **ADA, created_at="2012-10-20T07:15:20.902Z")

    assert user["created_at"] == 1_350_717_320_902


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "form_data_missing"),
        ({"email_address": ["no at sign"]}, "form_param_format_invalid"),
        ({"email_address": "ada@example.com"}, "form_param_value_invalid"),
        ({"phone_number": ["555"]}, "form_param_format_invalid"),
        ({"username": 1}, "form_param_value_invalid"),
        ({**ADA, "created_at": "yesterday"}, "form_param_format_invalid"),
        ({**ADA, "public_metadata": []}, "form_param_value_invalid"),
        ({**ADA, "public_metadata": "x"}, "form_param_value_invalid"),
        ({**ADA, "favourite_colour": "red"}, "form_param_unknown"),
        ({**ADA, "banned": "yes"}, "form_param_value_invalid"),
        ({**ADA, "email_address_identification_status": ["a", "b"]}, "form_param_value_invalid"),
    ],
)
async def test_an_invalid_user_is_a_422(
    api: httpx.AsyncClient, params: dict[str, Any], code: str
) -> None:
    response = await api.post("/v1/users", json=params)

    assert (response.status_code, error_code(response)) == (422, code)


@pytest.mark.parametrize(
    "params",
    [
        {"email_address": ["TAKEN@example.com"]},
        {"phone_number": ["+15555550100"]},
        {"username": "taken"},
        {"email_address": ["x@example.com"], "external_id": "taken"},
    ],
)
async def test_a_unique_value_can_be_used_once(
    api: httpx.AsyncClient, params: dict[str, Any]
) -> None:
    await create(
        api,
        email_address=["taken@example.com"],
        phone_number=["+15555550100"],
        username="taken",
        external_id="taken",
    )

    response = await api.post("/v1/users", json=params)

    assert (response.status_code, error_code(response)) == (422, "form_identifier_exists")


async def test_an_address_is_free_again_after_its_user_is_deleted(
    api: httpx.AsyncClient,
) -> None:
    first = await create(api, **ADA)
    await api.delete(f"/v1/users/{first['id']}")

    second = await create(api, **ADA)

    assert second["id"] != first["id"]


async def test_a_name_can_be_changed_and_removed(api: httpx.AsyncClient) -> None:
    user = await create(api, **ADA, username="ada")

    response = await api.patch(
        f"/v1/users/{user['id']}", json={"first_name": "Augusta", "username": ""}
    )

    changed = response.json()
    assert (changed["first_name"], changed["last_name"]) == ("Augusta", "Lovelace")
    assert changed["username"] is None


async def test_every_change_increases_updated_at_even_within_a_millisecond(
    emulator: ClerkEmulator, clock: ManualClock
) -> None:
    user = emulator.create_user(**ADA)

    times = [emulator.update_user(user["id"], first_name=name)["updated_at"] for name in "abc"]

    assert times == [clock.now + 1, clock.now + 2, clock.now + 3]


async def test_metadata_is_merged_deeply_and_null_removes(api: httpx.AsyncClient) -> None:
    user = await create(
        api, **ADA, public_metadata={"plan": "pro", "seats": {"used": 1, "free": 2}, "old": 1}
    )

    response = await api.patch(
        f"/v1/users/{user['id']}/metadata",
        json={"public_metadata": {"seats": {"used": 2}, "old": None}},
    )

    assert response.json()["public_metadata"] == {"plan": "pro", "seats": {"used": 2, "free": 2}}


@pytest.mark.parametrize(("version", "status"), [("2025-11-10", 200), ("2026-05-12", 422)])
async def test_updating_a_user_takes_metadata_only_in_older_versions(
    api: httpx.AsyncClient, version: str, status: int
) -> None:
    user = await create(api, **ADA)

    response = await api.patch(
        f"/v1/users/{user['id']}",
        json={"public_metadata": {"plan": "pro"}},
        headers={"Clerk-API-Version": version},
    )

    assert response.status_code == status


@pytest.mark.parametrize(
    ("action", "field", "value"),
    [("ban", "banned", True), ("unban", "banned", False), ("lock", "locked", True)],
)
async def test_a_user_can_be_banned_unbanned_and_locked(
    api: httpx.AsyncClient, action: str, field: str, value: bool
) -> None:
    user = await create(api, **ADA)

    response = await api.post(f"/v1/users/{user['id']}/{action}")

    assert response.json()[field] is value


async def test_a_deleted_user_is_gone(api: httpx.AsyncClient) -> None:
    user = await create(api, **ADA)

    deleted = await api.delete(f"/v1/users/{user['id']}")
    after = await api.get(f"/v1/users/{user['id']}")

    assert deleted.json() == {"object": "user", "id": user["id"], "deleted": True}
    assert after.status_code == 404


async def test_a_body_cannot_address_another_user(api: httpx.AsyncClient) -> None:
    ada = await create(api, **ADA)

    response = await api.patch(f"/v1/users/{ada['id']}", json={"user_id": "user_other"})

    assert (response.status_code, error_code(response)) == (422, "form_param_unknown")


async def test_counting_has_clerks_shape(api: httpx.AsyncClient) -> None:
    await create(api, **ADA)

    response = await api.get("/v1/users/count")

    assert shape(response.json()) == shape(example("users_count_200"))
    assert response.json()["total_count"] == 1

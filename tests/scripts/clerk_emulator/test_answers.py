"""Errors, headers and authentication of the Backend API."""

import re

import httpx
import pytest

from tests.scripts.clerk_emulator.conftest import ManualClock
from tests.scripts.clerk_emulator.examples import error_code, example


@pytest.mark.parametrize("body", [b"not json", b"[]", b"null", b'"text"'])
async def test_a_body_that_is_not_an_object_is_a_400(api: httpx.AsyncClient, body: bytes) -> None:
    response = await api.post("/v1/users", content=body)

    assert (response.status_code, error_code(response)) == (400, "request_body_invalid")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/users/user_nobody"),
        ("PATCH", "/v1/users/user_nobody"),
        ("DELETE", "/v1/users/user_nobody"),
        ("POST", "/v1/users/user_nobody/ban"),
        ("PATCH", "/v1/users/user_nobody/metadata"),
    ],
)
async def test_an_unknown_user_is_clerks_404(
    api: httpx.AsyncClient, method: str, path: str
) -> None:
    theirs = example("error_404_user_not_found")["errors"][0]

    response = await api.request(method, path)

    [error] = response.json()["errors"]
    assert response.status_code == 404
    assert error == theirs | {"long_message": "No user was found with id user_nobody"}


async def test_a_wrong_key_is_clerks_401(api: httpx.AsyncClient) -> None:
    theirs = example("error_401_clerk_key_invalid")

    response = await api.get("/v1/users", headers={"Authorization": "Bearer sk_test_wrong"})

    assert response.status_code == 401
    assert response.json()["errors"] == theirs["errors"]


@pytest.mark.parametrize("header", ["", "Basic abc", "Bearer", "sk_test_bare"])
async def test_a_key_in_another_form_is_a_401(api: httpx.AsyncClient, header: str) -> None:
    response = await api.get("/v1/users", headers={"Authorization": header})

    assert response.status_code == 401
    assert error_code(response) == "authorization_header_format_invalid"


async def test_an_unknown_api_version_is_a_400(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/users", headers={"Clerk-API-Version": "2020-01-01"})

    assert (response.status_code, error_code(response)) == (400, "api_version_invalid")


async def test_an_unknown_url_is_clerks_404(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/nothing/here")

    assert (response.status_code, error_code(response)) == (404, "resource_not_found")


async def test_every_error_has_a_trace_id(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/users/user_nobody")

    assert re.fullmatch(r"[0-9a-f]{32}", response.json()["clerk_trace_id"])


async def test_the_date_header_is_by_clerks_clock(
    api: httpx.AsyncClient, clock: ManualClock
) -> None:
    clock.now = 1_760_000_000_000

    response = await api.get("/v1/users")

    assert response.headers["date"] == "Thu, 09 Oct 2025 08:53:20 GMT"


async def test_clerks_answers_are_json_by_their_content_type(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/users")

    assert response.headers["content-type"] == "application/json"

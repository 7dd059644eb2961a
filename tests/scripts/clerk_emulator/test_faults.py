"""Faults of the API on request."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import ValidationError

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault
from tests.e2e.processes import eventually

USERS = "/v1/users"
KEYS = "/.well-known/jwks.json"


@pytest.fixture
async def client(served: ClerkEmulator) -> AsyncIterator[httpx.AsyncClient]:
    """Over a real connection, because half of the faults concern it."""
    headers = {"Authorization": f"Bearer {served.config.secret_key}"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers) as client:
        served.calls.clear()
        yield client
    served.faults.clear()


async def is_asked(served: ClerkEmulator) -> None:
    """Wait until `GetUser` is called. Then the answer is made, and the fault holds it."""
    await eventually(lambda: served.calls.peak("GetUser") > 0)


def fault(kind: str, **settings: object) -> ApiFault:
    return ApiFault.model_validate({"kind": kind, **settings})


async def test_the_api_can_be_slow(client: httpx.AsyncClient, served: ClerkEmulator) -> None:
    served.faults.add(fault("slow", seconds=0.05))
    began = time.perf_counter()

    response = await client.get(USERS)

    assert (response.status_code, time.perf_counter() - began >= 0.05) == (200, True)


async def test_a_slow_answer_has_the_state_before_the_wait(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    user = served.create_user(username="slow", first_name="Before")
    served.faults.add(fault("slow", seconds=0.5))

    answer = asyncio.create_task(client.get(f"{USERS}/{user['id']}"))
    await is_asked(served)
    served.update_user(user["id"], first_name="After")

    assert (await answer).json()["first_name"] == "Before"


async def test_a_held_answer_comes_when_the_fault_is_cleared(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    user = served.create_user(username="held")
    served.faults.add(fault("hold", on="GetUser"))

    answer = asyncio.create_task(client.get(f"{USERS}/{user['id']}"))
    await is_asked(served)
    served.delete_user(user["id"])
    waiting = not answer.done()
    served.faults.clear()

    assert (waiting, (await answer).json()["id"]) == (True, user["id"])


async def test_the_api_can_answer_byte_by_byte(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("drip", on="GetUsersCount", seconds=0.1))

    async with client.stream("GET", f"{USERS}/count") as response:
        pieces = [piece async for piece in response.aiter_raw()]

    assert len(pieces) > 10
    assert b"".join(pieces).startswith(b'{"object":"total_count"')


@pytest.mark.parametrize("retry_after", ["3", "Thu, 09 Oct 2025 08:53:20 GMT", "soon", None])
async def test_the_api_can_limit_with_any_retry_after(
    client: httpx.AsyncClient, served: ClerkEmulator, retry_after: str | None
) -> None:
    served.faults.add(fault("rate_limit", retry_after=retry_after))

    response = await client.get(USERS)

    assert response.status_code == 429
    assert response.headers.get("retry-after") == retry_after


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "internal_clerk_error"),
        (502, "internal_clerk_error"),
        (503, "service_unavailable"),
        (504, "gateway_timeout"),
    ],
)
async def test_the_api_can_fail_in_clerks_words(
    client: httpx.AsyncClient, served: ClerkEmulator, status: int, code: str
) -> None:
    served.faults.add(fault("error", status=status))

    response = await client.get(USERS)

    assert response.status_code == status
    assert response.json()["errors"][0]["code"] == code


async def test_the_api_can_answer_a_page(client: httpx.AsyncClient, served: ClerkEmulator) -> None:
    served.faults.add(fault("html", status=200))

    assert (await client.get(USERS)).text.startswith("<html>")


async def test_the_api_can_answer_half_of_its_json(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("truncated"))

    response = await client.get(f"{USERS}/count")

    with pytest.raises(ValueError):
        response.json()


async def test_the_api_can_answer_another_user(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    user = served.create_user(username="right", first_name="Right")
    served.faults.add(fault("wrong_user"))

    answer = (await client.get(f"{USERS}/{user['id']}")).json()

    assert answer["id"] != user["id"]
    assert answer["first_name"] == "Right"


async def test_the_api_can_answer_anything(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("raw", status=200, body='{"keys": []}'))

    assert (await client.get(USERS)).json() == {"keys": []}


async def test_the_api_can_redirect(client: httpx.AsyncClient, served: ClerkEmulator) -> None:
    served.faults.add(fault("redirect", location="http://169.254.169.254/"))

    response = await client.get(USERS)

    assert (response.status_code, response.headers["location"]) == (302, "http://169.254.169.254/")


async def test_the_api_can_answer_with_a_huge_body(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("huge", size=1_000_000))

    assert len((await client.get(USERS)).content) == 1_000_000


async def test_the_api_can_answer_with_a_gzip_bomb(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("gzip_bomb", size=1_000_000))

    async with client.stream("GET", USERS) as response:
        assert int(response.headers["content-length"]) < 2_000
        assert len(await response.aread()) == 1_000_000


async def test_the_api_can_close_the_connection(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("disconnect"))

    with pytest.raises(httpx.RemoteProtocolError):
        await client.get(USERS)


async def test_a_fault_applies_the_given_number_of_times(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("error", status=503, times=2), fault("rate_limit", times=1))

    statuses = [(await client.get(USERS)).status_code for _ in range(4)]

    assert statuses == [503, 503, 429, 200]


@pytest.mark.parametrize(
    ("on", "users", "keys"),
    [("api", 500, 200), ("jwks", 200, 500), ("all", 500, 500), ("GetUser", 200, 200)],
)
async def test_a_fault_applies_only_to_its_operations(
    client: httpx.AsyncClient, served: ClerkEmulator, on: str, users: int, keys: int
) -> None:
    served.faults.add(fault("error", on=on))

    statuses = [(await client.get(path)).status_code for path in (USERS, KEYS)]

    assert statuses == [users, keys]


async def test_cleared_faults_no_longer_apply(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.faults.add(fault("error"))
    served.faults.clear()

    assert (await client.get(USERS)).status_code == 200


async def test_a_call_with_a_fault_is_counted_with_its_answer(
    client: httpx.AsyncClient, served: ClerkEmulator
) -> None:
    served.calls.clear()
    served.faults.add(fault("error", status=503, times=1))

    for _ in range(3):
        await client.get(USERS)

    assert (served.calls.count("GetUserList"), served.calls.count("GetUserList", 503)) == (3, 1)


@pytest.mark.parametrize(
    "settings", [{"kind": "earthquake"}, {"kind": "slow", "times": 0}, {"kind": "slow", "x": 1}]
)
def test_an_unknown_fault_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ApiFault.model_validate(settings)

"""`/emulator`: the control API, as the demo and a person with `curl` use it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.scripts.clerk_emulator.conftest import client_of
from tests.scripts.clerk_emulator.receiver import URL, Receiver


@pytest.fixture
async def control(sending: ClerkEmulator) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(sending) as client:
        yield client


async def post(control: httpx.AsyncClient, path: str, body: Any = None) -> Any:
    response = await control.post(f"/emulator{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_test_user_signs_up_and_a_signed_webhook_follows(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    first, second = [await post(control, "/sign-up") for _ in range(2)]
    await sending.sender.settled()

    # The receiver verifies the signature of each webhook.
    events = {one.event["data"]["id"]: one.event for one in receiver.received}
    assert events.keys() == {first["user_id"], second["user_id"]}
    assert events[first["user_id"]]["type"] == "user.created"
    assert events[first["user_id"]]["data"] == sending.get_user(first["user_id"])
    assert re.fullmatch(r"test\.[0-9a-f]{8}@example\.com", first["email_address"])


async def test_messages_are_shown_with_their_attempts(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    receiver.will_answer(503)
    user = sending.create_user(username="ada")
    await sending.sender.settled()

    [message] = (await control.get("/emulator/messages")).json()

    [delivery] = message["deliveries"]
    assert (message["event_type"], message["svix_id"]) == ("user.created", receiver.ids[0])
    assert message["user_id"] == user["id"]
    assert (delivery["url"], delivery["status"]) == (URL, "delivered")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 204]


async def test_a_held_message_can_be_released(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    await post(control, "/delivery", {"for_next": [{"hold": True}]})
    sending.create_user(username="ada")
    await sending.sender.settled()
    [message] = sending.sender.messages

    await post(control, f"/messages/{message}/release")
    await sending.sender.settled()

    assert receiver.ids == [message]


async def test_an_unknown_message_is_a_404(control: httpx.AsyncClient) -> None:
    response = await control.post("/emulator/messages/msg_unknown/release")

    assert (response.status_code, response.json()) == (
        404,
        {"error": "unknown message 'msg_unknown'"},
    )


async def test_calls_are_counted(control: httpx.AsyncClient) -> None:
    await control.get("/v1/users")

    calls = (await control.get("/emulator/calls")).json()

    assert calls == {"GetUserList": {"total": 1, "peak": 1, "by_status": {"200": 1}}}


@pytest.mark.parametrize(
    "body",
    [{"for_next": [{"repeat": 0}]}, {"for_next": [{"sneeze": True}]}, {"payused": True}, None],
    ids=["out of range", "unknown plan", "unknown field", "no body"],
)
async def test_an_invalid_plan_is_a_422(control: httpx.AsyncClient, body: Any) -> None:
    response = await control.post("/emulator/delivery", json=body)

    assert response.status_code == 422


ROUTES = [
    ("GET", "/messages"),
    ("POST", "/messages/msg_1/release"),
    ("POST", "/delivery"),
    ("GET", "/calls"),
    ("POST", "/sign-up"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8401"},
        {"Host": "localhost.evil.example"},
        {"Host": "192.168.1.7:8401"},
        {"Host": "0.0.0.0:8401"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Host": "127.0.0.1:8401", "Origin": "http://192.168.1.7"},
    ],
    ids=str,
)
async def test_a_request_from_or_to_another_name_is_refused(
    control: httpx.AsyncClient,
    sending: ClerkEmulator,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    response = await control.request(method, f"/emulator{path}", headers=headers)

    assert response.status_code == 403
    assert len(sending.users) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost"},
        {"Host": "LOCALHOST:9999"},
        {"Host": "127.0.0.1:8401"},
        {"Host": "127.8.8.8"},
        {"Host": "[::1]:8401"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://[::1]:5173"},
    ],
    ids=str,
)
async def test_this_machines_own_names_are_accepted(
    control: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await control.post("/emulator/sign-up", headers=headers)

    assert response.status_code == 200

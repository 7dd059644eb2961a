"""`/emulator`: what a demo, another process or a curious person can watch and do."""

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


async def test_the_overview_tells_addresses_and_counts(
    control: httpx.AsyncClient, sending: ClerkEmulator
) -> None:
    sending.create_user(username="ada")

    overview = (await control.get("/emulator")).json()

    assert overview["issuer"] == sending.url
    assert (overview["users"], overview["messages"], overview["paused"]) == (1, 1, False)


async def test_the_overview_tells_no_secret(
    control: httpx.AsyncClient, sending: ClerkEmulator
) -> None:
    text = (await control.get("/emulator")).text

    assert sending.config.secret_key not in text
    assert sending.config.webhook_secrets[0] not in text


async def test_messages_are_shown_with_their_attempts(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    receiver.will_answer(503)
    sending.create_user(username="ada")
    await sending.sender.settled()

    [message] = (await control.get("/emulator/messages")).json()

    [delivery] = message["deliveries"]
    assert (message["event_type"], message["svix_id"]) == ("user.created", receiver.ids[0])
    assert (delivery["url"], delivery["status"]) == (URL, "delivered")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 204]


async def test_a_message_can_be_sent_again(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.create_user(username="ada")
    await sending.sender.settled()

    await post(control, f"/messages/{receiver.ids[0]}/resend")
    await sending.sender.settled()

    assert len(receiver.ids) == 2


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


@pytest.mark.parametrize("action", ["resend", "release"])
async def test_an_unknown_message_is_a_404(control: httpx.AsyncClient, action: str) -> None:
    response = await control.post(f"/emulator/messages/msg_unknown/{action}")

    assert response.status_code == 404


async def test_delivery_can_be_planned_for_all(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    await post(control, "/delivery", {"for_all": {"repeat": 2}})

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert len(receiver.ids) == 2


async def test_misfortune_can_be_drawn_from_a_seed(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    await post(control, "/delivery", {"from_seed": {"seed": 1, "drop": 1.0}})

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert receiver.ids == []


@pytest.mark.parametrize("cure", [{"replay": ["missing"]}, {"heal": True}], ids=["replay", "heal"])
async def test_what_is_missing_can_be_sent_after_all(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver, cure: Any
) -> None:
    await post(control, "/delivery", {"for_next": [{"drop": True}]})
    sending.create_user(username="ada")

    await post(control, "/delivery", cure)
    await sending.sender.settled()

    assert receiver.types == ["user.created"]


async def test_delivery_can_be_paused_and_resumed(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    paused = await post(control, "/delivery", {"paused": True})
    sending.create_user(username="ada")
    resumed = await post(control, "/delivery", {"paused": False})
    await sending.sender.settled()

    assert (paused["paused"], resumed["paused"], len(receiver.ids)) == (True, False, 1)


async def test_an_endpoint_can_be_added_and_switched_off(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    await post(control, "/endpoints", {"url": URL, "enabled": False})
    endpoints = await post(control, "/endpoints", {"url": f"{URL}?second"})

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert [one["enabled"] for one in endpoints] == [False, True]
    assert len(receiver.ids) == 1


async def test_faults_can_be_added_seen_and_cleared(control: httpx.AsyncClient) -> None:
    added = await post(control, "/faults", {"kind": "error", "status": 503, "times": 2})
    first = (await control.get("/v1/users")).status_code
    left = (await control.get("/emulator/faults")).json()[0]["left"]
    await control.delete("/emulator/faults")
    after = (await control.get("/v1/users")).status_code

    assert (len(added), first, left, after) == (1, 503, 1, 200)


async def test_calls_can_be_seen_and_forgotten(control: httpx.AsyncClient) -> None:
    await control.get("/v1/users")

    seen = (await control.get("/emulator/calls")).json()
    forgotten = (await control.delete("/emulator/calls")).json()

    assert seen == {"GetUserList": {"total": 1, "peak": 1, "by_status": {"200": 1}}}
    assert forgotten == {}


async def test_keys_can_be_rotated(control: httpx.AsyncClient, sending: ClerkEmulator) -> None:
    before = sending.jwks()["keys"][0]

    [same_kid] = (await post(control, "/keys/rotate"))["keys"]
    [new_kid] = (await post(control, "/keys/rotate", {"kid": "ins_new"}))["keys"]

    assert (same_kid["kid"], new_kid["kid"]) == (before["kid"], "ins_new")
    assert len({before["n"], same_kid["n"], new_kid["n"]}) == 3


async def test_many_users_can_be_made_at_once(
    control: httpx.AsyncClient, sending: ClerkEmulator
) -> None:
    response = await control.post("/emulator/users/bulk", params={"count": 100})

    assert response.json() == {"users": 100}
    assert len({user.id for user in sending.users}) == 100


async def test_the_dashboards_example_can_be_sent(
    control: httpx.AsyncClient, sending: ClerkEmulator, receiver: Receiver
) -> None:
    await post(control, "/test-event", {"type": "user.deleted"})
    await sending.sender.settled()

    assert receiver.received[0].event["data"]["external_id"] == "ex_123456789"


async def test_messages_can_be_forgotten(
    control: httpx.AsyncClient, sending: ClerkEmulator
) -> None:
    sending.create_user(username="ada")
    await sending.sender.settled()

    assert (await control.delete("/emulator/messages")).json() == {"messages": 0}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/faults", {"kind": "earthquake"}),
        ("/delivery", {"for_next": [{"repeat": 0}]}),
        ("/delivery", {"replay": ["tomorrow"]}),
        ("/delivery", {"payused": True}),
        ("/endpoints", {"url": "ftp://example.com"}),
        ("/test-event", {"type": "user.sneezed"}),
        ("/users/bulk", None),
    ],
)
async def test_what_makes_no_sense_is_a_422(
    control: httpx.AsyncClient, path: str, body: Any
) -> None:
    response = await control.post(f"/emulator{path}", json=body)

    assert response.status_code == 422

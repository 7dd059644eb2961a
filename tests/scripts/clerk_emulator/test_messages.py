"""The messages of changes, and their signatures."""

from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator, Endpoint
from scripts.clerk_emulator.config import random_webhook_secret, system_clock
from scripts.clerk_emulator.sender import Sender
from tests.scripts.clerk_emulator.examples import example, shape
from tests.scripts.clerk_emulator.receiver import URL, Receiver


async def test_each_change_of_a_user_sends_a_webhook(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    user = sending.create_user(username="ada")
    await sending.sender.settled()
    sending.update_user(user["id"], first_name="Ada")
    await sending.sender.settled()
    sending.delete_user(user["id"])
    await sending.sender.settled()

    assert receiver.types == ["user.created", "user.updated", "user.deleted"]


async def test_a_webhook_carries_the_user_as_the_api_answers_it(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    user = sending.create_user(email_address=["ada@example.com"], public_metadata={"a": [1]})
    await sending.sender.settled()

    assert receiver.received[0].event["data"] == user


async def test_an_envelope_has_clerks_shape(sending: ClerkEmulator, receiver: Receiver) -> None:
    sending.create_user(email_address=["ada@example.com"])
    await sending.sender.settled()

    event = receiver.received[0].event
    theirs = example("user.created")
    assert shape(event | {"data": None}) == shape(theirs | {"data": None})
    assert event["data"].keys() == theirs["data"].keys()


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"username": "ada"}, "user.deleted"),
        ({"username": "ada", "external_id": "42"}, "user.deleted.with_external_id"),
    ],
)
async def test_a_deletion_has_clerks_shape(
    sending: ClerkEmulator, receiver: Receiver, params: dict[str, Any], name: str
) -> None:
    sending.delete_user(sending.create_user(**params)["id"])
    await sending.sender.settled()

    [event] = [one.event for one in receiver.received if one.event["type"] == "user.deleted"]
    assert shape(event) == shape(example(name))


async def test_an_events_timestamp_is_never_before_updated_at(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    user_id = sending.create_user(username="ada")["id"]
    for name in "abcdefgh":
        sending.update_user(user_id, first_name=name)
    sending.delete_user(user_id)
    await sending.sender.settled()

    updated_at = [one.event["data"].get("updated_at", 0) for one in receiver.received]
    timestamps = [one.event["timestamp"] for one in receiver.received]
    assert all(seen <= told for seen, told in zip(updated_at, timestamps, strict=True))
    assert max(updated_at) < max(timestamps)


async def test_creating_many_users_at_once_sends_nothing(sending: ClerkEmulator) -> None:
    sending.create_users(10)

    assert sending.sender.messages == {}


async def test_the_dashboards_example_differs_from_real_events_as_clerks_does(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.send_example("user.created")
    await sending.sender.settled()

    event = receiver.received[0].event
    assert event["timestamp"] < 10**10 < event["data"]["updated_at"]
    assert event["instance_id"] != sending.config.instance_id
    assert event["data"]["primary_email_address_id"]
    assert event["data"]["email_addresses"] == []


async def test_every_attempt_is_signed_afresh_under_one_id(
    sending: ClerkEmulator,
) -> None:
    times = iter(range(system_clock(), system_clock() + 60_000, 2_000))
    secret = sending.config.webhook_secrets[0]
    receiver = Receiver(secret)
    receiver.will_answer(500, 500)
    sender = Sender(
        clock=lambda: next(times),
        endpoints=[Endpoint(url=URL, secrets=(secret,))],
        time_scale=0.000001,
        transport=receiver.transport(),
    )
    await sender.start()
    sender.send({"type": "user.created", "data": {}})
    await sender.settled()
    await sender.stop()

    assert len(set(receiver.ids)) == 1
    assert len({one.timestamp for one in receiver.received}) == 3
    assert len({one.signature for one in receiver.received}) == 3


async def test_a_message_is_signed_with_each_of_the_endpoints_secrets() -> None:
    old, new = random_webhook_secret(), random_webhook_secret()
    receiver = Receiver(new)
    sender = Sender(
        clock=system_clock,
        endpoints=[Endpoint(url=URL, secrets=(old, new))],
        transport=receiver.transport(),
    )
    await sender.start()
    sender.send({"type": "user.created", "data": {}})
    await sender.settled()
    await sender.stop()

    assert len(receiver.received[0].signature.split(" ")) == 2


async def test_every_endpoint_gets_the_same_message(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.sender.add_endpoint(sending.sender.endpoints[0])

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("ftp://example.com", random_webhook_secret()),
        ("not an address", random_webhook_secret()),
        (URL, "whsec_"),
        (URL, "whsec_c2hvcnQ="),
        (URL, random_webhook_secret().removeprefix("whsec_")),
    ],
    ids=["another scheme", "no address", "no secret", "a short secret", "no prefix"],
)
def test_an_endpoint_that_cannot_work_is_refused(url: str, secret: str) -> None:
    with pytest.raises(ValueError):
        Endpoint(url=url, secrets=(secret,))

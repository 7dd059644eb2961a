"""Webhooks as Svix sends them for Clerk. Where it is about when, time is virtual, and exact."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, Endpoint
from scripts.clerk_emulator.config import random_webhook_secret, system_clock
from scripts.clerk_emulator.deliveries import (
    CONCURRENT_ATTEMPTS,
    Delivery,
    DeliveryStatus,
    Message,
)
from scripts.clerk_emulator.plans import DeliveryPlan, FaultPlan, RandomPlans
from scripts.clerk_emulator.sender import RETRY_SCHEDULE, Sender
from tests.scripts.clerk_emulator.examples import example, shape
from tests.scripts.clerk_emulator.receiver import URL, Receiver
from tests.simulation.virtual_time import in_virtual_time


@asynccontextmanager
async def delivering(
    signing_key: RSAPrivateKey, *, delay: float = 0.0, **settings: Any
) -> AsyncIterator[tuple[ClerkEmulator, Receiver]]:
    """An emulator on Svix's own schedule, in the running loop, and where it delivers to."""
    config = EmulatorConfig(rate_limit=None, webhook_urls=(URL,), **settings)
    receiver = Receiver(config.webhook_secrets[0], delay=delay)
    emulator = ClerkEmulator(config, signing_key=signing_key, transport=receiver.transport())
    await emulator.start()
    yield emulator, receiver
    await emulator.stop()


def only_delivery(emulator: ClerkEmulator) -> Delivery:
    [message] = emulator.sender.messages.values()
    return message.deliveries[0]


def statuses(emulator: ClerkEmulator) -> list[DeliveryStatus]:
    return [
        delivery.status
        for message in emulator.sender.messages.values()
        for delivery in message.deliveries
    ]


# What is sent


async def test_a_users_life_is_told_by_webhooks(sending: ClerkEmulator, receiver: Receiver) -> None:
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


async def test_an_event_is_never_older_than_what_it_tells_of(
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


async def test_the_dashboards_example_has_its_traps(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.send_example("user.created")
    await sending.sender.settled()

    event = receiver.received[0].event
    assert event["timestamp"] < 10**10 < event["data"]["updated_at"]
    assert event["instance_id"] != sending.config.instance_id
    assert event["data"]["primary_email_address_id"]
    assert event["data"]["email_addresses"] == []


# How it is signed


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


# When it is tried again


def test_the_schedule_is_svixs() -> None:
    assert RETRY_SCHEDULE == (0, 5, 300, 1800, 7200, 18000, 36000, 36000)


@pytest.mark.parametrize("status", [300, 307, 400, 404, 409, 429, 500, 503])
async def test_whatever_is_not_2xx_is_tried_again(
    sending: ClerkEmulator, receiver: Receiver, status: int
) -> None:
    receiver.will_answer(status)

    sending.create_user(username="ada")
    await sending.sender.settled()

    attempts = only_delivery(sending).attempts
    assert [attempt.status for attempt in attempts] == [status, 204]


async def test_eight_failures_are_the_end(sending: ClerkEmulator, receiver: Receiver) -> None:
    receiver.will_answer(*[500] * 9)

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert len(only_delivery(sending).attempts) == 8
    assert only_delivery(sending).status is DeliveryStatus.FAILED


@in_virtual_time
async def test_the_waits_follow_the_schedule_scaled(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key, time_scale=0.01) as (emulator, receiver):
        receiver.will_answer(*[500] * 7)
        emulator.create_user(username="ada")
        await emulator.sender.settled(3600)

    times = [attempt.at for attempt in only_delivery(emulator).attempts]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == pytest.approx([seconds * 10 for seconds in RETRY_SCHEDULE[1:]], abs=1)


async def test_a_redirect_is_not_followed(sending: ClerkEmulator, receiver: Receiver) -> None:
    receiver.will_answer(307, location=URL)

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert [attempt.status for attempt in only_delivery(sending).attempts] == [307, 204]


@in_virtual_time
async def test_an_endpoint_that_takes_too_long_has_failed(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key, delay=20.0, time_scale=0.000001) as (emulator, _):
        emulator.create_user(username="ada")
        await emulator.sender.settled(200)

    assert [attempt.error for attempt in only_delivery(emulator).attempts] == ["TimeoutError"] * 8


async def test_an_endpoint_that_is_not_there_has_failed(signing_key: RSAPrivateKey) -> None:
    config = EmulatorConfig(webhook_urls=("http://127.0.0.1:9/",), time_scale=0.000001)
    emulator = ClerkEmulator(config, signing_key=signing_key)
    await emulator.start()
    emulator.create_user(username="ada")
    await emulator.sender.settled()
    await emulator.stop()

    assert {attempt.error for attempt in only_delivery(emulator).attempts} == {"ConnectError"}


@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, 5), ("1", 5), ("8", 8), ("3600", 10), ("soon", 5)]
)
@in_virtual_time
async def test_retry_after_is_heard_up_to_twice_the_wait(
    signing_key: RSAPrivateKey, retry_after: str | None, seconds: int
) -> None:
    async with delivering(signing_key) as (emulator, receiver):
        receiver.will_answer(503, **({"retry_after": retry_after} if retry_after else {}))
        emulator.create_user(username="ada")
        await emulator.sender.settled(60)

    first, second = only_delivery(emulator).attempts
    assert second.at - first.at == seconds * 1000


async def test_what_was_queued_before_the_start_is_sent_at_the_start(
    signing_key: RSAPrivateKey,
) -> None:
    config = EmulatorConfig(webhook_urls=(URL,))
    receiver = Receiver(config.webhook_secrets[0])
    emulator = ClerkEmulator(config, signing_key=signing_key, transport=receiver.transport())
    emulator.create_user(username="ada")

    await emulator.start()
    await emulator.sender.settled()
    await emulator.stop()

    assert receiver.types == ["user.created"]


async def test_a_delivery_cut_off_by_the_stop_has_failed(signing_key: RSAPrivateKey) -> None:
    config = EmulatorConfig(webhook_urls=(URL,))
    receiver = Receiver(config.webhook_secrets[0], delay=10.0)
    emulator = ClerkEmulator(config, signing_key=signing_key, transport=receiver.transport())
    await emulator.start()
    emulator.create_user(username="ada")
    await asyncio.sleep(0.01)

    await emulator.stop()

    assert only_delivery(emulator).status is DeliveryStatus.FAILED


async def test_a_delivery_that_had_not_begun_at_the_stop_can_be_replayed(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.create_user(username="ada")
    await sending.stop()
    before = statuses(sending)

    await sending.start()
    sending.sender.replay(DeliveryStatus.FAILED)
    await sending.sender.settled()

    assert (before, receiver.types) == ([DeliveryStatus.FAILED], ["user.created"])


# What may go wrong, on request


async def test_a_dropped_message_is_never_sent(sending: ClerkEmulator, receiver: Receiver) -> None:
    sending.sender.plans.for_next(DeliveryPlan(drop=True))

    sending.create_user(username="ada")
    sending.create_user(username="bob")
    await sending.sender.settled()

    assert [one.event["data"]["username"] for one in receiver.received] == ["bob"]
    assert statuses(sending) == [DeliveryStatus.MISSING, DeliveryStatus.DELIVERED]


async def test_a_repeated_message_arrives_so_many_times_under_one_id(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.sender.plans.for_next(DeliveryPlan(repeat=5))

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert len(receiver.ids) == 5
    assert len(set(receiver.ids)) == 1


async def test_what_fails_repeatedly_is_tried_again_once(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    receiver.will_answer(500, 500, 500)
    sending.sender.plans.for_next(DeliveryPlan(repeat=3))

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert [attempt.status for attempt in only_delivery(sending).attempts] == [500, 500, 500, 204]


@in_virtual_time
async def test_many_messages_wait_their_turn(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key, delay=0.01) as (emulator, receiver):
        for number in range(200):
            emulator.create_user(username=f"user{number}")
        await emulator.sender.settled()

    assert len(receiver.ids) == len(set(receiver.ids)) == 200
    assert receiver.most_at_once == CONCURRENT_ATTEMPTS


@in_virtual_time
async def test_repeats_arrive_at_the_same_time(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key, delay=0.05) as (emulator, receiver):
        emulator.sender.plans.for_next(DeliveryPlan(repeat=20))
        emulator.create_user(username="ada")
        await emulator.sender.settled()

    assert receiver.most_at_once == 20


@in_virtual_time
async def test_a_delayed_message_arrives_later(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key) as (emulator, receiver):
        emulator.sender.plans.for_next(DeliveryPlan(delay=0.05))
        user = emulator.create_user(username="ada")
        emulator.update_user(user["id"], first_name="Ada")
        await emulator.sender.settled()

    assert receiver.types == ["user.updated", "user.created"]


async def test_a_message_is_overtaken_by_as_many_as_planned(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.sender.plans.for_next(DeliveryPlan(overtaken_by=2))

    for name in ("first", "second", "third", "fourth"):
        sending.create_user(username=name)
        await sending.sender.settled()

    names = [one.event["data"]["username"] for one in receiver.received]
    assert names == ["second", "third", "first", "fourth"]


async def test_a_message_is_not_overtaken_by_an_earlier_one(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.sender.plans.for_next(DeliveryPlan(hold=True), DeliveryPlan(overtaken_by=1))
    sending.create_user(username="first")
    sending.create_user(username="second")
    first = next(iter(sending.sender.messages))

    sending.sender.release(first)
    await sending.sender.settled()

    assert receiver.ids == [first]


@in_virtual_time
async def test_a_released_message_keeps_to_the_schedule(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key) as (emulator, receiver):
        receiver.will_answer(500)
        emulator.sender.plans.for_next(DeliveryPlan(hold=True))
        emulator.create_user(username="ada")
        emulator.sender.release()
        await emulator.sender.settled(60)

    first, second = only_delivery(emulator).attempts
    assert second.at - first.at == 5000


async def test_a_held_message_waits_for_its_release(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.sender.plans.for_next(DeliveryPlan(hold=True))
    user = sending.create_user(username="ada")
    sending.update_user(user["id"], first_name="Ada")
    await sending.sender.settled()
    held = only_held(sending)

    sending.sender.release(held.svix_id)
    await sending.sender.settled()

    assert receiver.types == ["user.updated", "user.created"]


def only_held(emulator: ClerkEmulator) -> Message:
    [held] = [
        message
        for message in emulator.sender.messages.values()
        if message.deliveries[0].status is DeliveryStatus.HELD
    ]
    return held


async def test_settling_takes_no_longer_than_allowed(sending: ClerkEmulator) -> None:
    sending.sender.plans.for_next(DeliveryPlan(delay=60))
    sending.create_user(username="ada")

    with pytest.raises(TimeoutError):
        await sending.sender.settled(0.01)


async def test_a_disabled_endpoint_is_sent_nothing_until_it_is_replayed(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.sender.enable(URL, enabled=False)
    sending.create_user(username="ada")
    sending.sender.enable(URL, enabled=True)
    sending.create_user(username="bob")
    await sending.sender.settled()

    replayed = sending.sender.replay(DeliveryStatus.MISSING)
    await sending.sender.settled()

    names = [one.event["data"]["username"] for one in receiver.received]
    assert (replayed, names) == (1, ["bob", "ada"])


async def test_failed_messages_can_be_replayed(sending: ClerkEmulator, receiver: Receiver) -> None:
    receiver.will_answer(*[500] * 8)
    sending.create_user(username="ada")
    await sending.sender.settled()

    sending.sender.replay(DeliveryStatus.FAILED)
    await sending.sender.settled()

    assert only_delivery(sending).status is DeliveryStatus.DELIVERED


async def test_a_delivered_message_is_replayed_only_on_request(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    sending.create_user(username="ada")
    await sending.sender.settled()

    assert sending.sender.replay(DeliveryStatus.MISSING, DeliveryStatus.FAILED) == 0


async def test_healing_delivers_everything(sending: ClerkEmulator, receiver: Receiver) -> None:
    plans = [DeliveryPlan(drop=True), DeliveryPlan(hold=True), DeliveryPlan(overtaken_by=99)]
    sending.sender.plans.for_next(*plans)
    for name in ("dropped", "held", "reordered", "well"):
        sending.create_user(username=name)
    await sending.sender.settled()

    sending.sender.heal()
    await sending.sender.settled()

    assert set(statuses(sending)) == {DeliveryStatus.DELIVERED}
    assert len(set(receiver.ids)) == 4


async def test_messages_at_rest_can_be_forgotten(sending: ClerkEmulator) -> None:
    sending.sender.plans.for_next(DeliveryPlan(), DeliveryPlan(hold=True))
    sending.create_user(username="ada")
    held = sending.create_user(username="bob")
    await sending.sender.settled()

    sending.sender.forget()

    [message] = sending.sender.messages.values()
    assert held["id"] in message.body


# Misfortune by seed


def draws(seed: int, **chances: float) -> list[DeliveryPlan]:
    plans = RandomPlans(FaultPlan(seed=seed, **chances))
    return [plans.draw() for _ in range(200)]


def test_the_same_seed_brings_the_same_misfortunes() -> None:
    chances = {"drop": 0.2, "repeat": 0.3, "delay": 0.3, "reorder": 0.3}

    assert draws(7, **chances) == draws(7, **chances)
    assert draws(7, **chances) != draws(8, **chances)


def test_without_chances_nothing_happens() -> None:
    assert draws(7) == [DeliveryPlan()] * 200


def test_one_chance_does_not_shift_another() -> None:
    alone = [plan.drop for plan in draws(7, drop=0.5)]
    among_others = [plan.drop for plan in draws(7, drop=0.5, repeat=0.5, reorder=0.5)]

    assert alone == among_others


def test_misfortunes_are_about_as_frequent_as_planned() -> None:
    dropped = sum(plan.drop for plan in draws(7, drop=0.25))

    assert 30 <= dropped <= 70


async def test_a_seeded_misfortune_ends_in_everything_delivered_after_healing(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    chances = FaultPlan(seed=4, drop=0.3, repeat=0.3, delay=0.3, reorder=0.3, longest_delay=0.01)
    sending.sender.plans.from_seed(chances)
    for number in range(30):
        sending.create_user(username=f"user{number}")
    await sending.sender.settled()

    sending.sender.heal()
    await sending.sender.settled()

    assert len(receiver.ids) > len(set(receiver.ids)) == 30

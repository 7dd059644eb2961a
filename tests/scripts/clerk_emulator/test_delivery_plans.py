"""Messages that are dropped, repeated, delayed or reordered, and how they are delivered after all."""

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.deliveries import (
    CONCURRENT_ATTEMPTS,
    DeliveryStatus,
    Message,
)
from scripts.clerk_emulator.plans import DeliveryPlan, FaultPlan, RandomPlans
from tests.scripts.clerk_emulator.receiver import URL, Receiver, delivering, only_delivery, statuses
from tests.simulation.virtual_time import in_virtual_time


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


async def test_a_repeated_message_that_fails_is_retried_once(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
    receiver.will_answer(500, 500, 500)
    sending.sender.plans.for_next(DeliveryPlan(repeat=3))

    sending.create_user(username="ada")
    await sending.sender.settled()

    assert [attempt.status for attempt in only_delivery(sending).attempts] == [500, 500, 500, 204]


@in_virtual_time
async def test_the_number_of_concurrent_attempts_is_limited(signing_key: RSAPrivateKey) -> None:
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


async def test_settled_raises_after_its_time_limit(sending: ClerkEmulator) -> None:
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


async def test_finished_messages_can_be_forgotten(sending: ClerkEmulator) -> None:
    sending.sender.plans.for_next(DeliveryPlan(), DeliveryPlan(hold=True))
    sending.create_user(username="ada")
    held = sending.create_user(username="bob")
    await sending.sender.settled()

    sending.sender.forget()

    [message] = sending.sender.messages.values()
    assert held["id"] in message.body


def draws(seed: int, **chances: float) -> list[DeliveryPlan]:
    plans = RandomPlans(FaultPlan(seed=seed, **chances))
    return [plans.draw() for _ in range(200)]


def test_the_same_seed_gives_the_same_plans() -> None:
    chances = {"drop": 0.2, "repeat": 0.3, "delay": 0.3, "reorder": 0.3}

    assert draws(7, **chances) == draws(7, **chances)
    assert draws(7, **chances) != draws(8, **chances)


def test_without_probabilities_every_plan_is_the_default() -> None:
    assert draws(7) == [DeliveryPlan()] * 200


def test_one_probability_does_not_affect_the_others() -> None:
    alone = [plan.drop for plan in draws(7, drop=0.5)]
    among_others = [plan.drop for plan in draws(7, drop=0.5, repeat=0.5, reorder=0.5)]

    assert alone == among_others


def test_drops_are_about_as_frequent_as_planned() -> None:
    dropped = sum(plan.drop for plan in draws(7, drop=0.25))

    assert 30 <= dropped <= 70


async def test_after_random_plans_healing_delivers_everything(
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

"""Svix's schedule of attempts. Tests about times run in virtual time, so the times are exact."""

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from scripts.clerk_emulator.deliveries import (
    DeliveryStatus,
)
from scripts.clerk_emulator.sender import RETRY_SCHEDULE
from tests.e2e.processes import eventually
from tests.scripts.clerk_emulator.receiver import URL, Receiver, delivering, only_delivery, statuses
from tests.simulation.virtual_time import in_virtual_time


def test_the_schedule_is_svixs() -> None:
    assert RETRY_SCHEDULE == (0, 5, 300, 1800, 7200, 18000, 36000, 36000)


@pytest.mark.parametrize("status", [300, 307, 400, 404, 409, 429, 500, 503])
async def test_an_answer_other_than_2xx_is_retried(
    sending: ClerkEmulator, receiver: Receiver, status: int
) -> None:
    receiver.will_answer(status)

    sending.create_user(username="ada")
    await sending.sender.settled()

    attempts = only_delivery(sending).attempts
    assert [attempt.status for attempt in attempts] == [status, 204]


async def test_a_delivery_has_failed_after_eight_attempts(
    sending: ClerkEmulator, receiver: Receiver
) -> None:
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
async def test_an_attempt_fails_after_the_time_limit(signing_key: RSAPrivateKey) -> None:
    async with delivering(signing_key, delay=20.0, time_scale=0.000001) as (emulator, _):
        emulator.create_user(username="ada")
        await emulator.sender.settled(200)

    assert [attempt.error for attempt in only_delivery(emulator).attempts] == ["TimeoutError"] * 8


async def test_an_attempt_fails_without_a_connection(signing_key: RSAPrivateKey) -> None:
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
async def test_retry_after_is_honoured_up_to_twice_the_wait(
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


async def test_an_unfinished_delivery_has_failed_after_the_stop(signing_key: RSAPrivateKey) -> None:
    config = EmulatorConfig(webhook_urls=(URL,))
    receiver = Receiver(config.webhook_secrets[0], delay=10.0)
    emulator = ClerkEmulator(config, signing_key=signing_key, transport=receiver.transport())
    await emulator.start()
    emulator.create_user(username="ada")
    await eventually(lambda: receiver.at_once == 1)

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

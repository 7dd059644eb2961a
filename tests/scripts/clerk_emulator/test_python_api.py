"""The emulator's Python API, as other tests use it."""

import ast
import inspect
import re
import textwrap
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import orjson
import pytest
from svix.webhooks import Webhook, WebhookVerificationError

from scripts import clerk_emulator
from scripts.clerk_emulator import ClerkApiError, ClerkEmulator, SignedDelivery
from tests.scripts.clerk_emulator.conftest import ManualClock
from tests.scripts.clerk_emulator.receiver import Receiver


def verified(emulator: ClerkEmulator, delivery: SignedDelivery) -> Any:
    """The event. Raises `WebhookVerificationError` unless Svix's own library accepts it."""
    secret = emulator.config.webhook_secrets[0]
    Webhook(secret).verify(delivery.body, delivery.headers)
    return orjson.loads(delivery.body)


@pytest.fixture
def receiver() -> Receiver:
    """An application. Its secret is that of the example's newest emulator."""
    return Receiver(secret="")


@pytest.fixture
async def names(receiver: Receiver) -> AsyncIterator[dict[str, Any]]:
    """The names that the examples use: those of the package, `httpx`, and an application."""
    made: list[ClerkEmulator] = []

    class Remembered(ClerkEmulator):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)
            receiver.secret = self.config.webhook_secrets[0]

    async with httpx.AsyncClient(transport=receiver.transport(), base_url="http://app") as app:
        yield {
            **{name: getattr(clerk_emulator, name) for name in clerk_emulator.__all__},
            "ClerkEmulator": Remembered,
            "app": app,
            "app_transport": receiver.transport(),
            "httpx": httpx,
        }
    for emulator in made:
        await emulator.stop()


async def run(code: str, names: dict[str, Any]) -> None:
    compiled = compile(code, "__init__.py", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(compiled, names)
    if inspect.isawaitable(result):
        await result


async def test_the_examples_of_the_documentation_work(
    names: dict[str, Any], receiver: Receiver
) -> None:
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", clerk_emulator.__doc__ or "")
    users, http, webhooks, svix = [textwrap.dedent(block) for block in blocks]

    await run(users, names)
    pending = jwt.decode(names["pending"], options={"verify_signature": False})
    assert (pending["sub"], pending["sts"], "azp" in pending) == (
        names["ada"]["id"],
        "pending",
        False,
    )

    await run(http, names)
    assert names["settings"]["CLERK_API_URL"] == names["other"].url

    await run(webhooks, names)
    assert receiver.types == ["user.deleted", "user.created", "user.created", "user.updated"]

    receiver.received.clear()
    await run(svix, names)
    assert receiver.types == ["user.updated", "user.updated", "user.created"]


def test_deliveries_are_those_of_one_user_or_of_all_in_order(emulator: ClerkEmulator) -> None:
    ada = emulator.create_user(username="ada")
    bob = emulator.create_user(username="bob")
    emulator.delete_user(ada["id"])

    of_ada = emulator.deliveries(ada["id"])
    of_all = emulator.deliveries()

    assert [one.event_type for one in of_ada] == ["user.created", "user.deleted"]
    assert [orjson.loads(one.body)["data"]["id"] for one in of_all] == [
        ada["id"],
        bob["id"],
        ada["id"],
    ]
    assert all(one.headers["svix-id"] == one.svix_id for one in of_all)
    assert len({one.svix_id for one in of_all}) == 3


def test_a_delivery_is_signed_and_carries_the_user_as_it_was(emulator: ClerkEmulator) -> None:
    user = emulator.create_user(username="ada")
    emulator.update_user(user["id"], first_name="Ada")

    created, updated = emulator.deliveries(user["id"])

    assert verified(emulator, created)["data"] == user
    assert verified(emulator, updated)["data"] == emulator.get_user(user["id"])


def test_a_late_delivery_is_signed_afresh_under_its_first_id(
    emulator: ClerkEmulator, clock: ManualClock
) -> None:
    clock.now -= 3_600_000
    emulator.create_user(username="ada")
    [early] = emulator.deliveries()
    clock.now += 3_600_000
    [late] = emulator.deliveries()

    with pytest.raises(WebhookVerificationError):
        verified(emulator, early)
    assert verified(emulator, late)["type"] == "user.created"
    assert (late.svix_id, late.body) == (early.svix_id, early.body)


def test_an_error_has_clerks_status_and_message(emulator: ClerkEmulator) -> None:
    with pytest.raises(ClerkApiError, match="No user was found with id user_nobody") as raised:
        emulator.ban_user("user_nobody")

    assert raised.value.status == 404

"""Changes leave for endpoints, a broker and Clerk because settings say so."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import nats as nats_client
import pytest
import standardwebhooks
from fastapi import FastAPI
from pydantic import ValidationError

from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import ClerkEmulator
from service.app import user_sync
from service.bootstrap.settings import read_settings
from service.changes import Changes
from service.mistakes import mistakes
from service.services import services_of
from tests.adapters.broker.servers import nats, needs
from tests.adapters.push.receiver import Receiver, receiving
from tests.running import Service, running_service, settings_for

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
OLD_SECRET = f"whsec_{base64.b64encode(b'o' * 32).decode()}"


@asynccontextmanager
async def service_with(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection, **settings: Any
) -> AsyncIterator[Service]:
    """Its subscriptions have begun: what happens from now on is delivered."""
    async with running_service(clerk, store_url, **settings) as service:
        held = "select count(*) from user_change_subscriptions where held_until is not null"
        await until(lambda: sql.fetchval(held))
        yield service


def address() -> str:
    return f"{uuid4().hex[:12]}@example.com"


async def until(looks: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not await _value(looks()):
            await asyncio.sleep(0.02)


async def _value(result: Any) -> Any:
    return await result if asyncio.iscoroutine(result) else result


async def told(service: Service, clerk: ClerkEmulator, user_id: str, times: int = 1) -> None:
    """Every webhook about the user, each `times`."""
    for delivery in clerk.deliveries(user_id):
        for _ in range(times):
            answer = await service.http.post(
                "/webhooks/clerk", content=delivery.body, headers=delivery.headers
            )
            assert answer.status_code == 204


def pushed(receiver: Receiver) -> list[dict[str, Any]]:
    """What arrived, verified as a receiver does it."""
    verifier = standardwebhooks.Webhook(SECRET)
    return [verifier.verify(body, headers) for headers, body in receiver.got]


def endpoint(receiver: Receiver, **more: Any) -> str:
    one = {"name": "crm", "url": receiver.url, "secrets": [SECRET, OLD_SECRET], **more}
    return json.dumps([one])


async def test_an_endpoint_gets_each_change_once_however_often_the_webhook_comes(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection
) -> None:
    async with (
        receiving() as receiver,
        service_with(
            clerk, store_url, sql, changes_push=endpoint(receiver), changes_push_private=True
        ) as service,
    ):
        ada = clerk.create_user(email_address=[address()], first_name="Ada")
        await told(service, clerk, ada["id"], times=3)
        await until(lambda: receiver.got)
        clerk.update_user(ada["id"], first_name="Augusta")
        await told(service, clerk, ada["id"])
        await until(lambda: len(receiver.got) > 1)
        clerk.delete_user(ada["id"])
        await told(service, clerk, ada["id"])
        await until(lambda: len(receiver.got) > 2)
    created, updated, deleted = pushed(receiver)
    assert [one["type"] for one in (created, updated, deleted)] == [
        "user.created",
        "user.updated",
        "user.deleted",
    ]
    assert created["data"]["user"]["email"] == ada["email_addresses"][0]["email_address"]
    assert (created["data"]["position"], created["data"]["source"]) == (1, "webhook")
    assert updated["data"]["changed"] == ["first_name"]
    assert updated["data"]["user"]["first_name"] == "Augusta"
    assert deleted["data"]["user"] is None
    assert {one["data"]["user_id"] for one in (created, updated, deleted)} == {
        created["data"]["user"]["id"]
    }
    assert [headers["webhook-id"] for headers, _ in receiver.got] == ["crm:1", "crm:2", "crm:3"]


async def test_an_endpoint_is_sent_only_what_it_wants(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection
) -> None:
    async with receiving() as receiver:
        wants = endpoint(receiver, kinds=["updated"], fields=["email"])
        async with service_with(
            clerk, store_url, sql, changes_push=wants, changes_push_private=True
        ) as service:
            ada = clerk.create_user(email_address=[address()])
            clerk.update_user(ada["id"], first_name="Ada")
            await told(service, clerk, ada["id"])
            clerk.delete_user(ada["id"])
            grace = clerk.create_user(email_address=[address()])
            await told(service, clerk, grace["id"])
            await until(
                lambda: sql.fetchval(
                    "select position = (select count(*) from user_changes)"
                    " from user_change_subscriptions"
                )
            )
        assert receiver.got == []


async def test_an_endpoint_that_is_gone_is_paused_and_said_so_until_it_is_resumed(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection
) -> None:
    paused = "select paused_because from user_change_subscriptions where holder is null"
    async with receiving() as receiver:
        settings = {"changes_push": endpoint(receiver), "changes_push_private": True}
        async with service_with(clerk, store_url, sql, **settings) as service:
            receiver.status = 410
            ada = clerk.create_user(email_address=[address()])
            await told(service, clerk, ada["id"])
            await until(lambda: sql.fetchval(paused))
            grace = clerk.create_user(email_address=[address()])
            await told(service, clerk, grace["id"])
            await asyncio.sleep(1.5)
            assert len(receiver.got) == 1
            metrics = (await service.http.get("/metrics")).text
            assert 'clerk_user_sync_subscription_paused{subscription="crm"} 1.0' in metrics
            receiver.status = 204
            receiver.got.clear()
            desk = services_of(service.app).store.desk
            assert await desk.resume("crm")
            await until(lambda: len(receiver.got) > 1)
            assert {one["data"]["clerk_id"] for one in pushed(receiver)} == {
                ada["id"],
                grace["id"],
            }


async def test_our_id_is_written_to_clerk_and_its_echo_changes_nothing_more(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection
) -> None:
    async with service_with(clerk, store_url, sql, changes_write_back="external_id") as service:
        ada = clerk.create_user(email_address=[address()])
        theirs = f"theirs-{uuid4().hex}"
        known = clerk.create_user(email_address=[address()], external_id=theirs)
        for user in (ada, known):
            await told(service, clerk, user["id"])
        await until(lambda: clerk.get_user(ada["id"])["external_id"])
        ours = await sql.fetchval("select id from users where clerk_id = $1", ada["id"])
        assert clerk.get_user(ada["id"])["external_id"] == str(ours)
        await told(service, clerk, ada["id"])
        assert await sql.fetchval(
            "select external_id from users where clerk_id = $1", ada["id"]
        ) == str(ours)
        writes = clerk.calls.count("UpdateUser")
        await until(
            lambda: sql.fetchval(
                "select position = (select count(*) from user_changes)"
                " from user_change_subscriptions"
            )
        )
        assert clerk.calls.count("UpdateUser") == writes == 1
        assert clerk.get_user(known["id"])["external_id"] == theirs


async def test_an_external_id_that_our_row_does_not_know_yet_is_not_replaced(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection
) -> None:
    passed = (
        "select position = (select count(*) from user_changes) from user_change_subscriptions"
        " where position > 0 and not exists (select from user_changes_set_aside)"
    )
    async with running_service(clerk, store_url) as service:
        ada = clerk.create_user(email_address=[address()])
        await told(service, clerk, ada["id"])
    theirs = f"theirs-{uuid4().hex}"
    clerk.update_user(ada["id"], external_id=theirs)  # its webhook is late
    async with running_service(clerk, store_url, changes_write_back="external_id"):
        await until(lambda: sql.fetchval(passed))
    assert clerk.get_user(ada["id"])["external_id"] == theirs


async def test_our_id_is_written_to_one_key_of_the_public_metadata(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection
) -> None:
    async with service_with(
        clerk, store_url, sql, changes_write_back="public_metadata.our_id"
    ) as service:
        ada = clerk.create_user(email_address=[address()], public_metadata={"plan": "pro"})
        await told(service, clerk, ada["id"])
        await until(lambda: "our_id" in clerk.get_user(ada["id"])["public_metadata"])
        ours = await sql.fetchval("select id from users where clerk_id = $1", ada["id"])
        assert clerk.get_user(ada["id"])["public_metadata"] == {"plan": "pro", "our_id": str(ours)}


@needs("nats-server")
async def test_a_broker_gets_each_change_under_its_users_subject(
    clerk: ClerkEmulator, store_url: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    async with nats(tmp_path) as url:
        client = await nats_client.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="changes", subjects=["users.>"])
        async with service_with(clerk, store_url, sql, changes_broker_url=url) as service:
            ada = clerk.create_user(email_address=[address()])
            await told(service, clerk, ada["id"], times=2)

            async def messages() -> int:
                return (await stream.stream_info("changes")).state.messages

            await until(messages)
            message = await stream.get_msg("changes", 1)
            assert message.subject == f"users.{ada['id']}"
            assert message.headers is not None
            assert message.headers["Nats-Msg-Id"] == "broker:1"
            assert json.loads(message.data or b"")["type"] == "user.created"
            assert await messages() == 1
        await client.close()


async def test_a_name_is_no_more_than_one_subscriptions(
    clerk: ClerkEmulator, store_url: str
) -> None:
    changes = Changes()

    @changes.on("created", name="crm")
    async def handle(_change: Change, _user: LocalUser | None) -> None: ...

    async with receiving() as receiver:
        settings = settings_for(
            clerk, store_url, changes_push=endpoint(receiver), changes_push_private=True
        )
        app = FastAPI()
        with pytest.raises(ValueError, match="two subscriptions are named crm"):
            async with user_sync(app, settings, changes=changes):
                pass


@pytest.mark.parametrize(
    ("url", "is_helped"),
    [("https://10.0.0.1/", True), ("http://example.com/", True), ("https://", False)],
)
def test_the_setting_that_allows_private_addresses_is_named_where_it_helps(
    url: str, *, is_helped: bool
) -> None:
    value = json.dumps([{"name": "crm", "url": url, "secrets": [SECRET]}])
    with pytest.raises(ValidationError) as raised:
        read_settings(_env_file=None, changes_push=value)
    assert ("CHANGES_PUSH_PRIVATE=1" in str(raised.value)) is is_helped


@pytest.mark.parametrize("name", ["broker", "clerk-write-back"])
def test_an_endpoint_cannot_have_the_name_of_another_subscription(name: str) -> None:
    value = json.dumps([{"name": name, "url": "https://crm.example.com/", "secrets": [SECRET]}])
    with pytest.raises(ValidationError, match=f"{name} is the name of another subscription"):
        read_settings(_env_file=None, changes_push=value)


@pytest.mark.parametrize(
    "value",
    ["not json", "{}", '[{"name": "A B", "url": "https://a.example", "secrets": ["x"]}]', "[1]"],
)
def test_what_is_no_endpoint_is_refused_by_the_settings_name(value: str) -> None:
    with pytest.raises(ValidationError) as raised:
        read_settings(_env_file=None, changes_push=value)
    assert any(one.startswith("CHANGES_PUSH: ") for one in mistakes(raised.value))

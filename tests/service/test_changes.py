"""Handlers of changes in an application that is not ours, on a real Postgres."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from domain.changes import Change, Kind
from domain.subscriptions import PAUSES, Subscription
from domain.user import LocalUser, Source
from scripts.clerk_emulator import ClerkEmulator
from service.app import mount, mount_health, user_sync
from service.auth import CurrentUser
from service.changes import Changes
from service.deliveries import load_handlers
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.postgres_server import Sql
from tests.running import Service, client_of, running_service, settings_for
from tests.service.tables import every_change_is_settled

changes = Changes()
"""For `load_handlers`."""


class Shop:
    """Sends a welcome mail, and keeps a workspace for each user."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.mails: list[str | None] = []
        self.workspaces: set[str] = set()
        self.new_addresses: list[str | None] = []
        self.changes.on("created", name="welcome-mail")(self._welcome)
        self.changes.on("created", "deleted", name="workspace")(self._keep_workspace)
        self.changes.on("updated", name="address", fields=("email",))(self._note_address)

    async def _welcome(self, change: Change, user: LocalUser | None) -> None:
        assert change.kind == "created"
        self.mails.append(user.email if user else None)

    async def _keep_workspace(self, change: Change, user: LocalUser | None) -> None:
        if user is None:
            self.workspaces.discard(change.clerk_id)
        else:
            self.workspaces.add(change.clerk_id)

    async def _note_address(self, change: Change, user: LocalUser | None) -> None:
        assert "email" in change.changed
        self.new_addresses.append(user.email if user else None)


@asynccontextmanager
async def open_for_business(
    shop: Shop, clerk: ClerkEmulator, store_url: str
) -> AsyncIterator[Service]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with user_sync(app, settings_for(clerk, store_url), changes=shop.changes):
            yield

    app = FastAPI(lifespan=lifespan)
    mount(app)
    mount_health(app)

    @app.get("/orders")
    async def orders(user: CurrentUser) -> dict[str, str | None]:
        return {"orders of": user.email}

    async with lifespan(app), client_of(app) as http:
        yield Service(http, app, clerk.config.webhook_secrets[0])


async def begun(sql: Sql, *, number: int = 3) -> None:
    """A subscription begins at the present: wait until it has."""
    async with asyncio.timeout(30):
        query = "select count(*) from user_change_subscriptions where held_until is not null"
        while await sql.fetchval(query) < number:
            await asyncio.sleep(0.02)


async def test_each_handler_is_called_once_whichever_path_comes_first_and_however_often(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    shop = Shop()
    async with open_for_business(shop, clerk, store_url) as service:
        await begun(sql)
        for svix_id in ("msg_1", "msg_2", "msg_1"):
            await service.deliver(webhook_bytes("user.created"), svix_id=svix_id)
        await every_change_is_settled(sql)
        assert len(shop.mails) == 1
        assert shop.workspaces == {ADA}
        for _ in range(2):
            await service.deliver(webhook_bytes("user.deleted"))
        await every_change_is_settled(sql)
    assert (len(shop.mails), shop.workspaces, shop.new_addresses) == (1, set(), [])


async def test_who_was_there_before_is_not_welcomed_and_a_backfill_welcomes_nobody(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    shop = Shop()
    insert = """
        insert into user_changes (clerk_id, user_id, kind, changed, source, occurred_at)
        values ($1, gen_random_uuid(), 'created', '{}', $2, now())
    """
    await sql.execute(insert, "user_before", "webhook")
    async with open_for_business(shop, clerk, store_url):
        await begun(sql)
        await sql.execute(insert, "user_backfilled", "backfill")
        await sql.execute(insert, "user_new", "jit")
        await every_change_is_settled(sql)
    assert shop.mails == [None]


async def test_a_subscription_that_no_process_runs_is_behind(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with open_for_business(Shop(), clerk, store_url):
        await begun(sql)
    async with running_service(clerk, store_url) as service:
        assert (await service.deliver(webhook_bytes("user.created"))).status_code == 204
        await sql.execute("update user_changes set recorded_at = now() - interval '1 hour'")
        behind = await service.metric("subscription_behind_changes", subscription="address")
        seconds = await service.metric("subscription_behind_seconds", subscription="address")
    assert behind == 1
    assert seconds > 3599


async def test_a_subscription_that_was_removed_is_in_no_metric(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    async with open_for_business(Shop(), clerk, store_url):
        await begun(sql)
    async with running_service(clerk, store_url) as service:
        assert await told_of(service) == {"address", "welcome-mail", "workspace"}
        await sql.execute("delete from user_change_subscriptions where name <> 'address'")
        assert await told_of(service) == {"address"}


async def told_of(service: Service) -> set[str]:
    """The subscriptions in the metrics of a service."""
    labels = [dict(labels) for _, labels in await service.samples()]
    return {one["subscription"] for one in labels if "subscription" in one}


async def test_metrics_tell_how_the_subscriptions_stand(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    shop = Shop()
    async with open_for_business(shop, clerk, store_url) as service:
        await begun(sql)
        await service.deliver(webhook_bytes("user.created"))
        await every_change_is_settled(sql)
        told = {
            "attempts": await service.metric(
                "change_attempts_total",
                subscription="welcome-mail",
                outcome="delivered",
            ),
            "held": await service.metric("subscription_held", subscription="workspace"),
            "behind": await service.metric("subscription_behind_changes", subscription="address"),
        }
    assert told == {"attempts": 1, "held": 1, "behind": 0}


def test_what_a_handler_asks_for_is_what_its_subscription_says() -> None:
    asked = Changes()

    @asked.on("updated", name="one", fields=["email"], sources=["webhook"], deadline=5, at_once=2)
    async def one(_: Change, __: LocalUser | None) -> None: ...

    @asked.on(name="two")
    async def two(_: Change, __: LocalUser | None) -> None: ...

    [(first, _), (second, _)] = asked.targets
    assert (first.wants.kinds, first.wants.fields) == (
        frozenset({Kind.UPDATED}),
        frozenset({"email"}),
    )
    assert (first.wants.sources, first.deadline, first.at_once) == (
        frozenset({Source.WEBHOOK}),
        5.0,
        2,
    )
    assert second == Subscription(name="two")
    assert (second.pauses, Source.BACKFILL in second.wants.sources) == (PAUSES, False)


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "Welcome Mail"},
        {"name": "a" * 64},
        {"name": "taken"},
        {"name": "one", "fields": ["favourite_colour"]},
        {"name": "one", "sources": ["post"]},
        {"name": "one", "at_once": 0},
    ],
)
def test_what_cannot_be_is_refused_at_once(asked: dict[str, Any]) -> None:
    refusing = Changes()

    @refusing.on(name="taken")
    async def taken(_: Change, __: LocalUser | None) -> None: ...

    with pytest.raises(ValueError):
        refusing.on(**asked)


def test_a_function_that_is_not_async_is_refused() -> None:
    def blocking(_: Change, __: LocalUser | None) -> Any: ...

    with pytest.raises(TypeError, match="must be an async function"):
        Changes().on(name="one")(blocking)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("no_such_module:changes", "no_such_module cannot be imported"),
        ("tests.service.test_changes:no_such_name", "has no no_such_name"),
        ("tests.service.test_changes:begun", "is not a Changes"),
    ],
)
def test_handlers_that_cannot_be_loaded_are_named(place: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        load_handlers(place)


def test_handlers_are_loaded_by_their_name() -> None:
    assert load_handlers("tests.service.test_changes:changes") is changes

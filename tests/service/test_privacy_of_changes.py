"""What is kept and sent of a user by changes and subscriptions, and nothing of it after a deletion."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI

from domain.changes import Change
from domain.user import LocalUser
from scripts.clerk_emulator import ClerkEmulator
from service.app import user_sync
from service.changes import Changes
from service.services import services_of
from tests.adapters.clerk.payloads import ADA
from tests.adapters.push.receiver import Receiver, receiving
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import Service, bearer, running_service, settings_for
from tests.service.canaries import CANARY, found
from tests.service.tables import every_change_is_settled, everything_stored
from tests.service.watched import PERSON, event

SECRET = f"whsec_{base64.b64encode(b'k' * 32).decode()}"
TOKEN = "of-a-reader-of-changes-" + "x" * 32
OF_CHANGES = ("user_changes", "user_changes_set_aside", "user_change_subscriptions")


@dataclass
class Mail:
    """A handler. While it fails, it names the user in its error, as many libraries do."""

    changes: Changes = field(default_factory=Changes)
    fails: bool = True
    got: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changes.on(name="mail", begin="oldest", pauses=())(self._send)

    async def _send(self, change: Change, user: LocalUser | None) -> None:
        self.got.append(f"{change} {user}")
        if self.fails:
            raise LookupError(f"no mail to {user}")


@dataclass(frozen=True)
class Stage:
    """A service with an endpoint that works, one that does not, and a handler that does not."""

    service: Service
    crm: Receiver
    broken: Receiver
    mail: Mail
    sql: Sql

    async def deliver(self, *kinds: str) -> None:
        for number, kind in enumerate(kinds):
            person = PERSON | {"first_name": f"canary-{number}"}
            sent = event(kind) if kind == "user.deleted" else event(kind, **person)
            assert (await self.service.deliver(sent)).status_code in (202, 204)

    async def set_aside(self) -> dict[str, str]:
        rows = await self.sql.fetch("select subscription, state from user_changes_set_aside")
        return dict(map(tuple, rows))

    async def failed(self) -> bool:
        return await self.set_aside() == {"broken": "waiting", "mail": "parked"}

    async def try_all_again(self) -> None:
        """As an operator does, until nothing waits."""
        desk = services_of(self.service.app).store.desk
        self.mail.fails, self.broken.status = False, 204
        async with asyncio.timeout(60):
            while waiting := await self.set_aside():
                for name in waiting:
                    for aside in await desk.set_aside(name, 10):
                        await desk.retry(name, aside.position)
                await asyncio.sleep(0.5)
        await every_change_is_settled(self.sql)

    def received(self) -> str:
        pushed = [body.decode() for one in (self.crm, self.broken) for _, body in one.got]
        return "\n".join([*pushed, *self.mail.got])

    def forget(self) -> None:
        for got in (self.crm.got, self.broken.got, self.mail.got):
            got.clear()


@pytest.fixture
async def stage(clerk: ClerkEmulator, store_url: str, sql: Sql) -> AsyncIterator[Stage]:
    async with receiving() as crm, receiving() as broken:
        broken.status = 500
        endpoints = [
            {"name": name, "url": receiver.url, "secrets": [SECRET], "begin": "oldest"}
            for name, receiver in (("crm", crm), ("broken", broken))
        ]
        mail = Mail()
        async with (
            running_service(
                clerk,
                store_url,
                changes_push=json.dumps(endpoints),
                changes_push_private=True,
                changes_token=TOKEN,
            ) as service,
            user_sync(FastAPI(), settings_for(clerk, store_url), changes=mail.changes),
        ):
            yield Stage(service, crm, broken, mail, sql)


async def test_what_waits_or_is_parked_keeps_no_value_of_the_user(stage: Stage) -> None:
    await stage.deliver("user.created", "user.updated")
    await eventually(stage.failed)
    rows = [row for name in OF_CHANGES for row in await stage.sql.fetch(f"select * from {name}")]
    assert found(str(rows), [CANARY]) == []
    assert found(stage.received(), [CANARY]) == [CANARY], "they were told of the user"


async def test_after_the_deletion_nothing_is_stored_and_nobody_is_told_of_the_user(
    stage: Stage,
) -> None:
    """Not even who failed before, and is tried again now."""
    await stage.deliver("user.created", "user.updated")
    broken = json.dumps(event(**PERSON)).encode()[:-9]
    assert (await stage.service.deliver(broken)).status_code == 202
    await eventually(stage.failed)
    await stage.deliver("user.deleted")
    await asyncio.sleep(0.5)  # an attempt may have read the record before
    stage.forget()
    await stage.try_all_again()
    told = stage.received()
    assert told.count(ADA) >= 6, "each of three changes, by the two that had failed"
    answer = await stage.service.http.get("/v1/changes", headers=bearer(TOKEN))
    assert len(answer.json()["changes"]) == 3
    stored = await everything_stored(stage.sql)
    assert ADA in stored
    assert found(f"{told}\n{answer.text}\n{stored}", [CANARY]) == []

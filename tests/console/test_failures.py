"""Actions that fail because of the store or of Clerk, and the words of the page and of the trail."""

import asyncio
from dataclasses import replace

import pytest

from adapters.postgres.database import Database
from adapters.postgres.journal import PostgresJournal
from domain.errors import StorageUnavailable
from domain.instance import PIN
from domain.journal import JournalQuery
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.services import attach, services_of
from tests.adapters.clerk.payloads import webhook_bytes
from tests.adapters.postgres.faults import refusing
from tests.audit_trail import no_results_kept
from tests.commands.arrivals import quarantined
from tests.console.operator_actions import trail
from tests.console.visitors import OPERATOR, TOKENS, Visitor, fields_of, visitor_of
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import Service, running_service
from tests.service.tables import journal, stored_user


class LosingAnswers(PostgresJournal):
    """The connection is lost after each dismissal, before its answer."""

    async def dismiss(self, query: JournalQuery) -> int:
        await super().dismiss(query)
        raise StorageUnavailable("no answer in time")


async def test_an_action_whose_end_is_not_known_is_not_told_as_undone(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["new@example.com"])["id"]
    async with no_results_kept(sql):
        answer = await operator.confirm(f"/users/{person}/sync")
    assert (await stored_user(sql, person))["email"] == "new@example.com"
    assert (answer.status_code, "Nothing was changed" in answer.text) == (503, False)
    assert "Whether it was done is not certain: see Audit" in answer.text


async def test_what_may_be_done_is_not_told_as_failed_on_the_trail(
    own_service: Service, own_operator: Visitor, database: Database, sql: Sql
) -> None:
    services = services_of(own_service.app)
    assert services.console is not None
    losing = replace(services, store=replace(services.store, journal=LosingAnswers(database)))
    attach(own_service.app, replace(losing, console=replace(services.console, services=losing)))
    await quarantined(database, b"?", clerk_id=None)
    path = f"/deliveries/{(await journal(sql))[0]['id']}/dismiss"
    answer = await own_operator.confirm(path, reason="old tool")
    assert (answer.status_code, "not certain: see Audit" in answer.text) == (503, True)
    assert (await journal(sql))[0]["dismissed_at"] is not None
    result = "not certain: the store is unavailable (no answer in time)"
    assert await trail(sql) == [("operator token", "dismiss", "msg_q", result)]


@pytest.mark.parametrize(
    "fault",
    [
        ApiFault(kind=FaultKind.RATE_LIMIT, retry_after="60"),
        pytest.param(ApiFault(kind=FaultKind.HOLD), marks=pytest.mark.slow),
    ],
    ids=["limited", "silent"],
)
async def test_an_operator_waits_seconds_for_clerk_and_not_minutes(
    own_operator: Visitor, own_clerk: ClerkEmulator, sql: Sql, fault: ApiFault
) -> None:
    person = own_clerk.create_user(email_address=["new@example.com"])["id"]
    page = await own_operator.get(f"/users/{person}/sync")
    own_clerk.faults.add(fault)
    async with asyncio.timeout(15):
        answer = await own_operator.post(f"/users/{person}/sync", fields_of(page))
    own_clerk.faults.clear()
    assert (answer.status_code, "Nothing was changed" in answer.text) == (503, True)
    assert await sql.fetchval("select count(*) from users") == 0
    [(_, action, target, result)] = await trail(sql)
    assert (action, target) == ("sync now", person)
    assert result.startswith("failed: Clerk is unavailable (")


async def test_data_that_the_store_refuses_is_told_on_a_page(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["refused@example.com"])["id"]
    async with refusing(sql, "22021"):
        answer = await operator.confirm(f"/users/{person}/sync")
    assert (answer.status_code, "Nothing was done" in answer.text) == (409, True)
    assert "The store refuses the data" in answer.text


async def test_a_store_of_another_instance_is_named(
    own_clerk: ClerkEmulator, store_url: str, database: Database, sql: Sql
) -> None:
    await quarantined(database, webhook_bytes("user.created"))
    await sql.execute("insert into sync_checkpoints values ($1, 'ins_another')", PIN)
    path = f"/deliveries/{(await journal(sql))[0]['id']}/replay"
    async with (
        running_service(own_clerk, store_url, **TOKENS) as service,
        visitor_of(service.app) as visitor,
    ):
        instance = services_of(service.app).clerk.instance

        async def contradicted() -> bool:
            return instance.contradiction is not None

        await eventually(contradicted)
        await visitor.sign_in(OPERATOR)
        answer = await visitor.confirm(path)
    assert (answer.status_code, "Nothing was done" in answer.text) == (409, True)
    assert "The store holds the users of another Clerk instance" in answer.text
    assert (await trail(sql))[0][3].startswith("failed: the store holds the users of another")

"""Actions that fail because of the store, and the words of the page."""

from adapters.postgres.database import Database
from domain.instance import PIN
from scripts.clerk_emulator import ClerkEmulator
from service.services import services_of
from tests.adapters.clerk.payloads import webhook_bytes
from tests.adapters.postgres.faults import refusing
from tests.audit_trail import no_results_kept
from tests.commands.arrivals import quarantined
from tests.console.visitors import OPERATOR, TOKENS, Visitor, visitor_of
from tests.e2e.processes import eventually
from tests.postgres_server import Sql
from tests.running import running_service
from tests.service.tables import journal, stored_user


async def test_an_action_whose_end_is_not_known_is_not_told_as_undone(
    operator: Visitor, clerk: ClerkEmulator, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["new@example.com"])["id"]
    async with no_results_kept(sql):
        answer = await operator.confirm(f"/users/{person}/sync")
    assert (await stored_user(sql, person))["email"] == "new@example.com"
    assert (answer.status_code, "Nothing was changed" in answer.text) == (503, False)
    assert "Whether it was done is not certain: see Audit" in answer.text


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

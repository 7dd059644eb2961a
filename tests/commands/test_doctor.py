"""`doctor`: what is wrong, and what to do about it."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from typer.main import get_command

from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.database import Database
from domain import health
from domain.drift import Sweep
from domain.finding import State, command
from domain.reconcile import LAST_FULL
from domain.schema import SchemaState, Standing
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.program import program
from scripts.replay_webhooks import command_line
from tests.adapters.clerk.certificates import untrusted_server
from tests.commands.arrivals import happened, quarantined
from tests.commands.commands import Operator
from tests.e2e.sessions import read_only
from tests.people import at
from tests.postgres_server import Sql, temporary_database


@pytest.fixture
def healthy(clerk: ClerkEmulator, operator: Operator) -> Operator:
    """An installation without faults, with the instance's id."""
    return Operator({**operator.environment, "CLERK_INSTANCE_ID": clerk.config.instance_id})


async def states(operator: Operator, **settings: str) -> dict[str, str]:
    ended = await operator.told(settings).run("doctor", "--json")
    found = {one["about"]: one["state"] for one in ended.records}
    assert ended.code == (1 if "bad" in found.values() else 0)
    return found


async def test_all_is_well(healthy: Operator, database: Database) -> None:
    await happened(database, "user.created")
    found = await states(healthy)
    assert set(found.values()) == {"ok"}
    assert list(found) == [
        "configuration",
        "store",
        "schema",
        "rights",
        "rows",
        "history",
        "last_delivery",
        "quarantine",
        "webhooks",
        "drift",
        "changes",
        "signing_keys",
        "clerk",
        "instance",
        "clock",
    ]


async def test_a_person_gets_a_table_with_advice(healthy: Operator) -> None:
    ended = await healthy.run("doctor")
    assert ended.code == 0
    # The table may break a cell into several lines.
    for part in ("last delivery", "no webhook has arrived", "look at the endpoint"):
        assert part in ended.said
    assert "Traceback" not in ended.said


async def test_wrong_settings_are_named_and_nothing_else_is_tried(healthy: Operator) -> None:
    ended = await healthy.run("doctor", "--json", CLERK_SECRET_KEY="pk_test_x")
    (found,) = ended.records
    assert (ended.code, found["about"], found["state"]) == (1, "configuration", "bad")
    assert "CLERK_SECRET_KEY: a Clerk secret key starts with sk_" in found["words"]


async def test_a_misspelt_setting_is_noticed(healthy: Operator) -> None:
    ended = await healthy.run("doctor", "--json", CLERK_WEBHOOK_SECRET="whsec_hidden")
    assert ended.records[0]["words"] == "CLERK_WEBHOOK_SECRET is not a setting"
    assert "hidden" not in ended.said


async def test_an_unreachable_store_is_bad_and_clerk_is_looked_at_all_the_same(
    healthy: Operator,
) -> None:
    nowhere = "postgresql://nobody:hidden@127.0.0.1:1/nowhere"
    found = await states(healthy, DATABASE_URL=nowhere)
    assert (found["store"], found["clerk"]) == ("bad", "ok")


async def test_a_store_that_takes_no_writes_is_bad_and_looked_at_all_the_same(
    healthy: Operator, sql: Sql
) -> None:
    async with read_only(sql):
        found = await states(healthy)
    assert (found["store"], found["schema"], found["changes"]) == ("bad", "ok", "ok")
    assert (await states(healthy))["store"] == "ok"


async def test_a_schema_that_is_behind_is_bad(healthy: Operator, postgres_url: str) -> None:
    async with temporary_database(postgres_url, "doctor_behind") as url:
        assert (await states(healthy, DATABASE_URL=url))["schema"] == "bad"


async def test_quarantine_and_silence_are_found(
    healthy: Operator, database: Database, sql: Sql
) -> None:
    await quarantined(database, b"{}")
    await happened(database, "user.created")
    await sql.execute("update users set clerk_created_at = now()")
    await sql.execute(
        "update sync_journal set source = 'jit', received_at = now() - interval '1 hour' "
        "where outcome = 'created'"
    )
    found = await states(healthy)
    assert (found["quarantine"], found["webhooks"]) == ("warn", "bad")


async def test_regular_comparisons_that_do_not_come_are_bad(
    healthy: Operator, database: Database, sql: Sql
) -> None:
    assert "reconcile" not in await states(healthy)
    assert (await states(healthy, RECONCILE_EVERY="3600"))["reconcile"] == "warn"
    await PostgresCheckpoints(database).save(LAST_FULL, "")
    assert (await states(healthy, RECONCILE_EVERY="3600"))["reconcile"] == "ok"
    await sql.execute("update sync_checkpoints set saved_at = now() - interval '1 day'")
    assert (await states(healthy, RECONCILE_EVERY="3600"))["reconcile"] == "bad"


async def test_a_key_that_clerk_refuses_is_bad(healthy: Operator) -> None:
    found = await states(healthy, CLERK_SECRET_KEY="sk_test_somebodyelses")
    assert found["clerk"] == "bad"
    assert "clock" not in found


async def test_a_key_of_another_instance_is_bad(operator: Operator) -> None:
    assert (await states(operator, CLERK_INSTANCE_ID="ins_another"))["instance"] == "bad"


async def test_keys_of_two_instances_are_bad(
    healthy: Operator, clerk: ClerkEmulator, signing_key: RSAPrivateKey
) -> None:
    """No session token is valid then. Two keys for development look alike to the settings."""
    async with running_emulator(EmulatorConfig(), signing_key=signing_key) as other:
        config = other.config
        theirs = {"CLERK_ISSUER": config.token_issuer, "CLERK_JWKS_URL": config.jwks_url}
        ended = await healthy.told(theirs).run("doctor", "--json")
    (found,) = [one for one in ended.records if one["about"] == "instance"]
    assert (ended.code, found["state"]) == (1, "bad")
    ours, others = clerk.config.instance_id, config.instance_id
    assert found["words"] == f"the secret key belongs to {ours}, the signing keys to {others}"


async def test_clerk_being_down_is_a_warning(healthy: Operator, clerk: ClerkEmulator) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=400))
    found = await states(healthy)
    assert (found["clerk"], "clock" in found) == ("warn", False)


async def test_a_certificate_that_is_not_trusted_is_told(
    healthy: Operator, signing_key: RSAPrivateKey, tmp_path: Path
) -> None:
    async with untrusted_server(signing_key, tmp_path) as server:
        ended = await healthy.run("doctor", "--json", CLERK_API_URL=server.url)
    (found,) = [one for one in ended.records if one["about"] == "clerk"]
    assert found["words"] == (
        "Clerk does not answer: a certificate is not trusted: see SSL_CERT_FILE"
    )


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(0.5, "ok"), (2.4, "ok"), (3, "warn"), (-1, "ok"), (-3, "warn"), (6, "bad"), (-5, "bad")],
)
def test_the_clock_is_held_against_clerks(ahead: float, state: str) -> None:
    assert health.clock(at(ahead), at(0)).state == state


def test_a_clerk_that_does_not_tell_the_time_is_a_warning() -> None:
    assert health.clock(at(0), None).state is State.WARN


@pytest.mark.parametrize(("hours", "state"), [(1, "ok"), (23, "ok"), (25, "warn")])
def test_a_delivery_long_ago_is_a_warning(hours: int, state: str) -> None:
    assert health.last_delivery(at(0), at(0) + timedelta(hours=hours)).state == state


def test_whatever_is_not_well_comes_with_advice() -> None:
    findings = [
        health.configuration(["x"], []),
        health.store("x"),
        health.store(None, is_read_only=True),
        health.schema(SchemaState(standing=Standing.BEHIND)),
        health.signing_keys(loaded=False),
        health.clerk("x"),
        health.clerk(None, key_refused=True),
        health.instance(None, frozenset()),
        health.instance("ins_a", frozenset({"ins_b"})),
        health.instance("ins_a", frozenset({"ins_a"}), frozenset({"ins_b"})),
        health.last_delivery(None, at(0)),
        health.quarantine(1),
        health.webhooks(1),
    ]
    assert all(one.state is not State.OK and one.advice for one in findings)


async def test_users_who_are_at_clerk_alone_are_named_with_a_command_to_copy(
    healthy: Operator, clerk: ClerkEmulator
) -> None:
    clerk.create_users(2002)
    ended = await healthy.run("doctor", "--json")
    (found,) = [one for one in ended.records if one["about"] == "users"]
    assert (ended.code, found["state"]) == (0, "warn")
    assert found["words"] == "Clerk has 2,002 users, and none of them is here"
    assert found["advice"] == "run: python -m scripts.replay_webhooks backfill"
    await healthy.run("backfill")
    ended = await healthy.run("doctor", "--json")
    assert [one for one in ended.records if one["about"] == "users"] == []


ADVICE = [
    finding.advice.partition("run: ")[2]
    for finding in (
        health.schema(SchemaState(standing=Standing.BEHIND)),
        health.quarantine(1),
        health.webhooks(1),
        health.users(1),
        health.drift(Sweep(ended_at=at(0), compared=1, found={"missing": 1}, repaired={})),
    )
]


@pytest.mark.parametrize("advice", ADVICE)
def test_the_command_in_an_advice_can_be_copied(advice: str) -> None:
    python, dash, module, name, *options = advice.split()
    assert (python, dash) == ("python", "-m")
    in_the_package = command(" ".join([name, *options]), in_a_checkout=False)
    assert in_the_package == " ".join(["clerk-user-sync", name, *options])
    apps = [program()]
    if (module, name) != ("service", "migrate"):
        assert module == "scripts.replay_webhooks"
        apps.append(command_line())
    for app in apps:
        # Raises for an argument or an option that the command does not know.
        known = get_command(app).commands[name]  # type: ignore[attr-defined]
        known.make_context(name, list(options))

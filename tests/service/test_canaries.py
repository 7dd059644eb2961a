"""The same in a process of its own: everything that it says anywhere, and all that is stored.

`test_privacy.py` tells the stories one by one; here all of them happen to one service, and whatever
it and the operator's commands wrote is searched, up to the end by SIGTERM.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from fastapi import FastAPI

from scripts.clerk_emulator import ClerkEmulator
from service.exit_code import ExitCode
from tests.adapters.clerk.payloads import ADA
from tests.commands.commands import Operator
from tests.e2e.processes import ServiceProcess, environment_for, eventually
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import Service, bearer, svix_headers
from tests.service.canaries import CANARY, found
from tests.service.tables import everything_stored
from tests.service.watched import DSN, PERSON, STORIES, Watched, a_fault_of_ours, event

CONSOLE_TOKEN = "reader-" + "7f3c" * 10
OPERATOR_TOKEN = "operator-" + "a91e" * 10
COMMANDS = [
    ["backfill"],
    ["reconcile", "--full"],
    ["reconcile", "--full", "--repair"],
    ["journal"],
    ["journal", "--outcome", "quarantined", "--dry-run"],
    ["explain", ADA],
    ["doctor"],
    ["retain", "--dry-run"],
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@asynccontextmanager
async def outspoken(
    clerk: ClerkEmulator, database_url: str, directory: Path, **settings: str
) -> AsyncIterator[tuple[ServiceProcess, Watched]]:
    """A service with its most verbose output, and that output."""
    environment = environment_for(
        clerk,
        database_url,
        LOG_LEVEL="debug",
        CLERK_JWT_KEY=clerk.keys.public_pem(),
        CLERK_INSTANCE_ID=clerk.config.instance_id,
        CONSOLE_TOKEN=CONSOLE_TOKEN,
        CONSOLE_OPERATOR_TOKEN=OPERATOR_TOKEN,
        **settings,
    )
    process = ServiceProcess(environment, directory, module="tests.service.outspoken")
    http = process.http
    watch = Watched(Service(http, FastAPI(), process.secret), clerk, StringIO())
    http.event_hooks["response"].append(watch.hear)
    try:
        process.spawn()
        yield process, watch
    finally:
        await process.close()


async def told(process: ServiceProcess, watch: Watched) -> str:
    """All output, after the process has ended with 0."""
    refusals = watch.refusals
    process.send_signal(signal.SIGTERM)
    assert await process.ended() == 0
    return "\n".join([process.stdout, process.stderr, *refusals])


async def console_tokens_in_wrong_places(watch: Watched) -> None:
    """Output without personal data."""
    for token in (CONSOLE_TOKEN, OPERATOR_TOKEN):
        for path in ("/v1/me", "/v1/session", "/console/nowhere", "/metrics"):
            query = {"token": token, "q": "canary"}
            await watch.service.http.get(path, headers=bearer(token), params=query)


async def a_schema_gone_wrong(watch: Watched, sql: Sql) -> None:
    """Statements fail, with parameters in them."""
    await sql.execute("alter table users rename column first_name to given_name")
    try:
        answer = await watch.service.deliver(event("user.updated", **PERSON))
        assert answer.status_code >= 500
    finally:
        await sql.execute("alter table users rename column given_name to first_name")


async def a_store_that_takes_nobody(watch: Watched, sql: Sql) -> None:
    """Postgres quotes the whole row that it refuses."""
    await sql.execute("alter table users add constraint no check (false) not valid")
    try:
        answer = await watch.service.deliver(event(**PERSON | {"id": new_id()}))
        assert answer.status_code in (202, 503)
    finally:
        await sql.execute("alter table users drop constraint no")


async def everybody_is_deleted(watch: Watched, sql: Sql) -> None:
    """All that name somebody. A body that names nobody can only grow old; one of the stories'."""
    everybody = await sql.fetch(
        "select clerk_id from users union select clerk_id from sync_journal where clerk_id <> ''"
    )
    for (clerk_id,) in everybody:
        deletion = event("user.deleted", id=clerk_id, external_id="canary")
        assert (await watch.service.deliver(deletion)).status_code == 204
    assert await sql.execute("delete from sync_journal where clerk_id is null") == "DELETE 1"


async def commands(watch: Watched, database_url: str) -> str:
    """The output of commands that do not ask for personal data."""
    settings = watch.clerk.config.environment()
    instance = {"CLERK_INSTANCE_ID": watch.clerk.config.instance_id}
    operator = Operator({**settings, "DATABASE_URL": database_url, **instance})
    said = []
    for command in COMMANDS:
        for form in ([], ["--json"]):
            ended = await operator.run(*command, *form)
            assert ended.code != ExitCode.USAGE, ended.err
            said.append(f"{command}: {ended.out} {ended.err}")
    return "\n".join(said)


@pytest.mark.parametrize("form", ["json", "console"])
async def test_no_output_ever_has_personal_data_or_a_secret(
    clerk: ClerkEmulator, store_url: str, sql: Sql, tmp_path: Path, form: str
) -> None:
    async with outspoken(clerk, store_url, tmp_path, LOG_FORMAT=form) as (process, watch):
        await eventually(process.is_ready, 120)
        for story in STORIES:
            if story is not a_fault_of_ours:
                await story(watch)
                clerk.faults.clear()
        signature = svix_headers(process.secret, b"{}")["svix-signature"]
        await watch.service.http.get("/failing", params={"password": "canary", "t": signature})
        await console_tokens_in_wrong_places(watch)
        await a_schema_gone_wrong(watch, sql)
        await a_store_that_takes_nobody(watch, sql)
        ready = (await watch.service.http.get("/readyz")).text
        metrics = (await watch.service.http.get("/metrics")).text
        operators = await commands(watch, store_url)
        await everybody_is_deleted(watch, sql)
        all_told = "\n".join([await told(process, watch), ready, metrics, operators])
    assert found(await everything_stored(sql), [CANARY]) == []
    assert "unhandled_error" in all_told
    signed = signature.removeprefix("v1,")
    secrets = [CANARY, CONSOLE_TOKEN, OPERATOR_TOKEN, signed, *watch.secrets()]
    assert [line for line in all_told.splitlines() if found(line, secrets)] == []


async def test_an_unreachable_store_is_reported_without_its_address(
    clerk: ClerkEmulator, tmp_path: Path
) -> None:
    async with outspoken(clerk, DSN, tmp_path) as (process, watch):
        await eventually(lambda: lives(process), 120)
        assert (await watch.service.deliver(event(**PERSON))).status_code == 503
        assert (await watch.service.me(watch.token(ADA))).status_code == 503
        assert (await watch.service.http.get("/readyz")).status_code == 503
        all_told = await told(process, watch)
    assert '"job":"migrate"' in all_told
    assert found(all_told, [CANARY, *watch.secrets()]) == []


async def lives(process: ServiceProcess) -> bool:
    return await process.status("/healthz") == 200

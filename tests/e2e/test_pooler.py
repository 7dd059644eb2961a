"""A pooler in transaction mode between the service and Postgres."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import asyncpg
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.commands.commands import Operator
from tests.e2e.load import Load
from tests.e2e.messages import lives_of_users
from tests.e2e.pooler import SERVER_CONNECTIONS, pgbouncer, pooled
from tests.e2e.processes import ROOT, ServiceProcess, environment_for, running_processes
from tests.e2e.truth import assert_redelivery_settles_all, differences, states_of_sessions
from tests.postgres_server import Sql, temporary_database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
async def direct(postgres_url: str) -> AsyncIterator[str]:
    """The database, without the pooler."""
    pgbouncer()
    async with temporary_database(postgres_url, "e2e_pooled") as url:
        yield url


@pytest.fixture(scope="module")
async def pooler(direct: str) -> AsyncIterator[str]:
    async with pooled(direct) as url:
        yield url


@pytest.fixture(scope="module")
def environment(one_clerk: ClerkEmulator, pooler: str) -> dict[str, str]:
    return environment_for(one_clerk, pooler, DATABASE_POOL_SIZE="8")


@pytest.fixture(scope="module")
async def replicas(
    environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[ServiceProcess]]:
    """Two services at once on an empty database, which they migrate through the pooler."""
    directory = tmp_path_factory.mktemp("pooled")
    async with running_processes(environment, environment, directory=directory) as replicas:
        yield replicas


@pytest.fixture
async def sql(direct: str) -> "AsyncIterator[Sql]":
    connection = await asyncpg.connect(direct)
    yield connection
    await connection.close()


async def test_webhooks_and_first_requests_work_through_a_pooler(
    clerk: ClerkEmulator, replicas: list[ServiceProcess], sql: Sql
) -> None:
    one, other = replicas
    strangers = [clerk.create_user(email_address=[f"{n}@pooled.io"])["id"] for n in range(30)]
    async with Load(one, lives_of_users(clerk), senders=16) as load:
        answers = await asyncio.gather(
            *(service.me(clerk.session_token(who)) for who in strangers for service in replicas)
        )
        await load.acknowledged(150)
    assert {answer.status_code for answer in answers} == {200}
    assert {one.status for one in load.attempts} == {204}
    assert await differences(clerk, sql, strangers) == {}
    await assert_redelivery_settles_all(load, clerk, sql)
    assert await other.status("/readyz") == 200
    assert len(await states_of_sessions(sql)) <= SERVER_CONNECTIONS


async def test_the_operators_commands_work_through_a_pooler(
    clerk: ClerkEmulator, replicas: list[ServiceProcess], environment: dict[str, str], sql: Sql
) -> None:
    missed = [clerk.create_user(email_address=[f"{n}@missed.io"])["id"] for n in range(5)]
    operator = Operator(environment)
    for command in (["backfill"], ["reconcile", "--full", "--repair"], ["retain"], ["journal"]):
        ended = await operator.run(*command)
        assert ended.code == 0, ended.said
    assert await differences(clerk, sql, missed) == {}


async def test_migrate_says_through_a_pooler_that_the_schema_is_at_head(
    replicas: list[ServiceProcess], environment: dict[str, str]
) -> None:
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "service", "migrate"],
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        # What it works on, and no more.
        assert (done.returncode, done.stderr.count("\n")) == (0, 1)
        assert done.stderr.startswith("migrate: database e2e_pooled on ")

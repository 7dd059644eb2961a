"""Replicas of two releases on one schema, under load, while it is migrated and after."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from adapters.postgres.schema import head
from hatch_build import FOLDERS
from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Load
from tests.e2e.messages import lives_of_users, sign_up
from tests.e2e.processes import ROOT, ServiceProcess, environment_for, running_process
from tests.e2e.truth import differences
from tests.postgres_server import Sql, temporary_database

pytestmark = pytest.mark.slow

RELEASE_1_0 = "fc29be38a7049920eff9542adeaa063645808eac"


@pytest.fixture(scope="module")
def release_1_0(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its source, from the history of this repository."""
    there = tmp_path_factory.mktemp("release-1.0")
    git = [
        "git",
        "-C",
        str(ROOT),
        "archive",
        RELEASE_1_0,
        "domain",
        "adapters",
        "service",
        "scripts",
    ]
    archived = subprocess.run(git, capture_output=True, check=False)
    if archived.returncode != 0:
        pytest.skip("the history of this checkout does not reach back to release 1.0")
    subprocess.run(["tar", "-x", "-C", str(there)], input=archived.stdout, check=True)
    return there


@pytest.fixture(scope="module")
def next_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This release with one migration more, which adds a column to `users` and a table."""
    there = tmp_path_factory.mktemp("next-release")
    for package in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, there / package, ignore=ignored)
    number = f"{int(head()) + 1:04}"
    versions = there / "adapters/postgres/migrations/versions"
    (versions / f"{number}_one_more.py").write_text(
        f'revision = "{number}"\n'
        f'down_revision = "{head()}"\n\n\n'
        "def upgrade(step):\n"
        '    step("alter table our.users add column nickname text")\n'
        '    step("create table our.more (user_id uuid references our.users (id))")\n'
    )
    return there


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    async with temporary_database(postgres_url, "two_releases") as url:
        yield url


@pytest.fixture
async def sql(url: str) -> AsyncIterator[Sql]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


class Deployment:
    """Replicas of releases on one database, all under load and all asked whether they are ready."""

    def __init__(self, clerk: ClerkEmulator, url: str, directory: Path) -> None:
        self._clerk = clerk
        self._directory = directory
        self._environment = environment_for(clerk, url, MIGRATE_ON_START="0", JIT_DEADLINE="10")
        self._messages = lives_of_users(clerk)
        self.loads: list[Load] = []
        self.answers: set[tuple[str, int | None]] = set()
        """Each kind of request of a user's, and each status it was answered with."""

    async def migrate(self, release: Path) -> str:
        """Run `migrate` of a release. What it printed."""
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "service", "migrate"],
            cwd=self._directory,
            env={**self._environment, "PYTHONPATH": str(release)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @asynccontextmanager
    async def replica(
        self, release: Path
    ) -> AsyncIterator[tuple[ServiceProcess, list[int | None]]]:
        """A replica under load until the block ends, and each answer of its `/readyz`."""
        readiness: list[int | None] = []
        async with self._running(release) as service:
            load = Load(service, self._messages, senders=4, rest=0.01)
            self.loads.append(load)
            over = asyncio.Event()
            async with asyncio.TaskGroup() as users, load:
                for _ in range(2):
                    users.create_task(self._use(service, readiness, over))
                yield service, readiness
                over.set()

    async def assert_redelivery_settles_all(self, sql: Sql) -> None:
        """To this release, as Svix's replay does."""
        messages = {one.message for load in self.loads for one in load.attempts}
        async with (
            self._running(ROOT) as service,
            Load(service, iter(messages), stubborn=True) as again,
        ):
            await again.all_sent()
        assert {one.status for one in again.attempts} == {204}
        assert await differences(self._clerk, sql, again.user_ids) == {}

    @asynccontextmanager
    async def _running(self, release: Path) -> AsyncIterator[ServiceProcess]:
        environment = {**self._environment, "PYTHONPATH": str(release)}
        async with running_process(environment, self._directory) as service:
            yield service

    async def _use(
        self, service: ServiceProcess, readiness: list[int | None], over: asyncio.Event
    ) -> None:
        known = sign_up(self._clerk)
        await service.deliver(known)
        while not over.is_set():
            readiness.append(await service.status("/readyz"))
            for kind, user in (("known", known), ("new", sign_up(self._clerk))):
                answer = await service.me(self._clerk.session_token(user.user_id))
                self.answers.add((kind, answer.status_code))
            await asyncio.sleep(0.02)

    def assert_nothing_was_lost(self) -> None:
        answered = {one.status for load in self.loads for one in load.attempts}
        assert answered == {204}
        assert self.answers == {("known", 200), ("new", 200)}


@pytest.fixture
async def deployment(clerk: ClerkEmulator, url: str, tmp_path: Path) -> Deployment:
    return Deployment(clerk, url, tmp_path)


async def test_release_1_0_and_this_one_serve_side_by_side(
    deployment: Deployment, release_1_0: Path, sql: Sql
) -> None:
    """Forth and back. 1.0 says that it is not ready on a newer schema, though it serves."""
    await deployment.migrate(release_1_0)
    async with deployment.replica(release_1_0) as (old, readiness_of_old):
        await deployment.loads[0].acknowledged(100)
        assert set(readiness_of_old) == {200}
        await deployment.migrate(ROOT)
        async with deployment.replica(ROOT) as (_, readiness):
            for load in deployment.loads:
                await load.acknowledged(300)
        await deployment.loads[0].acknowledged(100)
        assert set(readiness) == {200}
        assert await old.status("/readyz") == 503
    deployment.assert_nothing_was_lost()
    await deployment.assert_redelivery_settles_all(sql)


async def test_this_release_and_the_next_serve_side_by_side_and_stay_ready(
    deployment: Deployment, next_release: Path, sql: Sql
) -> None:
    """Forth and back: the next release migrates and is rolled back, and this one starts anew."""
    await deployment.migrate(ROOT)
    async with deployment.replica(ROOT) as (_, readiness):
        await deployment.loads[0].acknowledged(100)
        await deployment.migrate(next_release)
        async with deployment.replica(next_release) as (_, readiness_of_next):
            for load in deployment.loads:
                await load.acknowledged(300)
        await deployment.loads[0].acknowledged(100)
    assert set(readiness) == set(readiness_of_next) == {200}
    assert "Nothing was changed" in await deployment.migrate(ROOT)
    async with deployment.replica(ROOT) as (_, readiness):
        await deployment.loads[-1].acknowledged(100)
    assert set(readiness) == {200}
    deployment.assert_nothing_was_lost()
    await deployment.assert_redelivery_settles_all(sql)

"""One real Postgres server for the whole run, and the databases that tests use on it."""

import asyncio
import os
import secrets
import signal
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.migrate import migrate
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from scripts.clerk_emulator.sessions import new_signing_key
from tests import figures
from tests.adapters.clerk.payloads import INSTANCE
from tests.postgres_server import (
    PostgresServer,
    Sql,
    TemporaryStore,
    start_postgres_server,
    temporary_database,
    temporary_store,
)

# A busy machine makes any example slow, so neither a deadline nor a slow strategy is a failure.
settings.register_profile(
    "fast",
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)
settings.register_profile("thorough", settings.get_profile("fast"), max_examples=2_000)
settings.load_profile("fast")  # unless `--hypothesis-profile` chooses the other

END_TO_END = "tests/e2e/"
_SERVER = "TEST_POSTGRES_URL"
_SERVER_NAME = "TEST_POSTGRES_NAME"
_LONGEST_NAME = 60
_started: pytest.StashKey[PostgresServer] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    # Every HTTP client loads the certificate authorities. The system's whole list took a fifth of
    # the time of all tests, so they load a list of one.
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "data" / "authority.pem")
    # A developer's proxy is not used for servers that the tests start on this machine.
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    # A shell starts background jobs with SIGINT ignored, and child processes would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if _SERVER in os.environ:  # this is an xdist worker, or the caller has chosen a server
        return
    server = start_postgres_server()
    config.stash[_started] = server
    os.environ[_SERVER] = server.url
    os.environ[_SERVER_NAME] = server.name


def pytest_unconfigure(config: pytest.Config) -> None:
    if server := config.stash.get(_started, None):
        os.environ.pop(_SERVER)
        server.stop()


class EndToEndFirst(LoadFileScheduling):  # type: ignore[misc] # xdist has no types
    """Each file runs in one worker. All of `e2e` runs in one worker: its files share processes."""

    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(END_TO_END) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return EndToEndFirst(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`e2e` takes longest, so it starts first and the other workers run the rest meanwhile."""
    items.sort(key=lambda item: not item.nodeid.startswith(END_TO_END))
    _one_service_for_each_lasting_store(items)


def _one_service_for_each_lasting_store(items: list[pytest.Item]) -> None:
    """Raises `UsageError` if a file shares two services: each would work on the other's rows."""
    users: dict[Path, set[str]] = defaultdict(set)
    for item in items:
        fixtures = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - private to pytest
        for name, (*_, fixture) in fixtures.items():
            if fixture.scope != "function" and "lasting_store" in fixture.argnames:
                users[item.path].add(name)
    for path, names in users.items():
        if len(names) > 1:
            message = f"{path}: {', '.join(sorted(names))} share one database; give each its own"
            raise pytest.UsageError(message)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures.show(terminalreporter)


def pytest_report_header() -> str:
    return f"postgres: {os.environ.get(_SERVER_NAME, 'given by TEST_POSTGRES_URL')}"


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a case by its value if that is short; pytest would only number it."""
    if type(val) is object:
        return "missing"
    if isinstance(val, str | bytes) and len(val) > _LONGEST_NAME:
        # Without the length: a generated key has another length in each xdist worker, and the
        # workers must agree on the names.
        return f"{val[:30]!a} and more"
    if isinstance(val, dict | list | tuple):
        name = ascii(val)
        # The text of a set, or of an object with its address, differs between workers too.
        steady = " at 0x" not in name and "set(" not in name
        return name if steady and len(name) <= _LONGEST_NAME else None
    return None


@pytest.fixture(scope="session")
def signing_key() -> RSAPrivateKey:
    """One key for every emulated Clerk: generating a key takes longer than most tests."""
    return new_signing_key()


@pytest.fixture(scope="module")
async def shared_clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """The Clerk instance that the recorded payloads come from, for all tests of a file."""
    async with _recorded_instance(signing_key) as emulator:
        yield emulator


@pytest.fixture
async def clerk(signing_key: RSAPrivateKey) -> AsyncIterator[ClerkEmulator]:
    """The same, of the test's own: without users."""
    async with _recorded_instance(signing_key) as emulator:
        yield emulator


def _recorded_instance(
    signing_key: RSAPrivateKey,
) -> AbstractAsyncContextManager[ClerkEmulator]:
    config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
    return running_emulator(config, signing_key=signing_key)


@pytest.fixture
def seed() -> int:
    """It is shown if the test fails."""
    seed = secrets.randbelow(2**32)
    print(f"SEED={seed}")
    return seed


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The server's own database, for creating others."""
    return os.environ[_SERVER]


@pytest.fixture(scope="session")
async def template(postgres_url: str) -> AsyncIterator[str]:
    """The name of a database with the schema at head and no rows, for copying."""
    name = f"template_{os.getpid()}"
    async with temporary_database(postgres_url, name) as url:
        await migrate(url)
        yield name


@pytest.fixture(scope="session")
async def _common_store(postgres_url: str, template: str) -> AsyncIterator[TemporaryStore]:
    """The database of the tests that share no service. Reached only by way of `store_url`."""
    async with temporary_store(postgres_url, template) as store:
        yield store


@pytest.fixture(scope="module")
async def lasting_store(postgres_url: str, template: str) -> AsyncIterator[TemporaryStore]:
    """A database of this file's own, for a service that several tests of the file share.

    The background jobs of such a service run between the tests and during all of them, so no
    test without that service may have its rows there.
    """
    async with temporary_store(postgres_url, template) as store:
        yield store


@pytest.fixture
async def _store(request: pytest.FixtureRequest, _common_store: TemporaryStore) -> TemporaryStore:
    if "lasting_store" in request.fixturenames:
        store: TemporaryStore = request.getfixturevalue("lasting_store")
    else:
        store = _common_store
        await _no_service_is_connected(store)
    await store.empty()
    return store


async def _no_service_is_connected(store: TemporaryStore) -> None:
    """The server takes a moment to end the sessions that the previous test has closed."""
    try:
        async with asyncio.timeout(10):
            while await store.services_connected():
                await asyncio.sleep(0.002)
    except TimeoutError:
        pytest.fail("A service or command that an earlier test started is still connected.")


@pytest.fixture
def store_url(_store: TemporaryStore) -> str:
    """A migrated database without rows, for this test.

    If the test uses a service that other tests of the file use too, it is that service's database.
    Otherwise no service is connected when the test begins, so no background job of another test's
    service touches its rows. This fixture lasts for one test, so pytest refuses (`ScopeMismatch`)
    to give it to anything that outlives a test: that needs `lasting_store`.
    """
    return _store.url


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    limits = PoolLimits(size=20, wait=30, connect=30, deadline=60)  # for a busy machine
    database = Database(store_url, limits)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def sql(_store: TemporaryStore) -> AsyncIterator[Sql]:
    """A plain connection, for looking at the tables without our own code."""
    async with _store.sql() as connection:
        yield connection

"""The pytest plugin, as the tests of a host use it: installed from the wheel, in a pytest of theirs."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from tests.package.conftest import PROJECT, Installed
from tests.postgres_server import temporary_database

pytest_plugins = "pytester"

GUIDES = PROJECT / "docs" / "guides"
BLOCK = re.compile(r"(?s)```(?:python|ini)\n(# (\S+)\n.*?)```")

HostTests: TypeAlias = Callable[..., pytest.RunResult]

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI
from clerk_user_sync import CurrentUser, CurrentSession, mount, user_sync

@asynccontextmanager
async def lifespan(app):
    async with user_sync(app):
        yield

app, sub = FastAPI(lifespan=lifespan), FastAPI()
mount(app)
app.mount("/sub", sub)

@sub.get("/hello")
@app.get("/hello")
async def hello(user: CurrentUser):
    return user.first_name

@app.get("/session")
async def session(session: CurrentSession):
    return session.user_id
"""

SYNC_CLIENT = """
import pytest
from fastapi.testclient import TestClient
from shop import app

@pytest.fixture
def client(clerk):
    clerk.connect(app)
    with TestClient(app) as client:
        yield client
"""

ASYNC_CLIENT = """
import pytest
from httpx import ASGITransport, AsyncClient
from shop import app

@pytest.fixture
async def client(clerk):
    clerk.connect(app)
    async with app.router.lifespan_context(app):
        async with AsyncClient(transport=ASGITransport(app), base_url="http://shop") as client:
            yield client
"""


def blocks(guide: str) -> dict[str, str]:
    """The code of a guide, by the name of the file in its first line."""
    return {name: code for code, name in BLOCK.findall((GUIDES / guide).read_text())}


@pytest.fixture
def host_tests(
    installed: Installed,
    pytester: pytest.Pytester,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> HostTests:
    """Runs pytest on a host's files. DATABASE_URL is that of a server that is there already."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    # Deprecated by Starlette, for another library of the same author.
    calm = "ignore:Using `httpx` with `starlette"
    loops = "asyncio_mode = auto\nasyncio_default_fixture_loop_scope = function"
    pytester.makeini(f"[pytest]\n{loops}\nfilterwarnings =\n    error\n    {calm}\n")

    def run(files: dict[str, str], *arguments: str) -> pytest.RunResult:
        for name, text in files.items():
            path = pytester.path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        usual = ("-p", "no:schemathesis", "-p", "no:randomly")
        return pytester.run(installed.python, "-m", "pytest", *usual, *arguments, timeout=120)

    return run


def test_the_code_of_the_guide_runs_on_an_embedded_server(
    host_tests: HostTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    models = blocks("joins-and-migrations.md")["models.py"]
    files = {**blocks("testing.md"), "models.py": models}
    assert len(files) == 11
    host_tests(files).assert_outcomes(passed=12)


SYNCHRONOUS = """
import os
from pathlib import Path
from urllib.parse import urlsplit

def test_a_user_is_served_changed_and_deleted(client, clerk, deliver, synced_user, signed_in_as):
    ada = synced_user(first_name="Ada")
    headers = signed_in_as(ada)
    assert client.get("/hello", headers=headers).json() == "Ada"
    assert clerk.calls.count("GetUser") == 0
    answers = deliver("user.updated", ada, first_name="Augusta", times=3)
    assert [one.status_code for one in answers] == [204, 204, 204]
    assert client.get("/sub/hello", headers=headers).json() == "Augusta"
    deliver("user.deleted", ada)
    assert client.get("/hello", headers=headers).json()["code"] == "user_deleted"

def test_the_database_is_a_new_one(clerk_database_url, clerk_settings, synced_user):
    given, new = urlsplit(os.environ["DATABASE_URL"]), urlsplit(clerk_database_url)
    assert (new.netloc, new.path != given.path) == (given.netloc, True)
    assert new.path.startswith("/test_clerk_user_sync_")
    assert clerk_settings.database_schema == "clerk"
    assert synced_user().synced_by == "webhook"
    Path("name").write_text(new.path[1:])
"""

WORDS = """
import pytest

def test_wrong_arguments(deliver, synced_user):
    ada = synced_user()
    with pytest.raises(ValueError, match="'user.renamed' is none of user.created, user.updated"):
        deliver("user.renamed", ada)
    with pytest.raises(ValueError, match="of which user"):
        deliver("user.deleted")
    with pytest.raises(ValueError, match="changes nothing"):
        deliver("user.created", ada, first_name="Ada")

class TestWithoutMount:
    @pytest.fixture
    def client(self, clerk):
        from fastapi import FastAPI
        from fastapi.testclient import TestClient
        with TestClient(FastAPI()) as client:
            yield client

    def test_it(self, deliver, synced_user):
        from clerk_user_sync.testing import NotDelivered
        with pytest.raises(NotDelivered, match=r"404 to user.updated: is mount\\(app\\) called"):
            deliver("user.updated", synced_user())

class TestWhatIsNoClient:
    @pytest.fixture
    def client(self):
        return object()

    def test_it(self, request):
        with pytest.raises(pytest.UsageError, match="'client' is no client of httpx"):
            request.getfixturevalue("deliver")
"""

OF_THE_HOST = """
import pytest

@pytest.fixture
def clerk():
    return "the host's own"

@pytest.fixture
def deliver():
    return "a parcel"

def test_names(clerk, deliver):
    assert (clerk, deliver) == ("the host's own", "a parcel")
"""

ROUTE_ALONE = """
from fastapi.testclient import TestClient
from clerk_user_sync.testing import local_user
from shop import app

def test_a_user(override_current_user):
    ada = local_user(first_name="Ada")
    override_current_user(app, ada)
    client = TestClient(app)
    assert client.get("/hello").json() == client.get("/sub/hello").json() == "Ada"
    assert client.get("/session").json() == ada.clerk_id
    override_current_user(app, None)
    assert client.get("/hello").status_code == client.get("/session").status_code == 401

def test_nothing_is_left(clerk):
    assert not app.dependency_overrides
    assert not hasattr(app.state, "user_sync_stand_in")
    clerk.connect(app)
    assert hasattr(app.state, "user_sync_stand_in")
"""

ANOTHER_PROCESS = """
import os, re, subprocess, sys
import httpx
import pytest

@pytest.fixture
def client(clerk):
    environment = {**os.environ, **clerk.listen()}
    del environment["CLERK_AUDIENCE"]
    command = [sys.executable, "-m", "uvicorn", "shop:app", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if address := re.search(r"running on (\\S+)", line):
            break
    with httpx.Client(base_url=address[1], timeout=30) as client:
        yield client
    process.terminate()
    process.communicate()

def test_it(client, deliver, synced_user, signed_in_as, clerk):
    grace = clerk.create_user(email_address=["g@example.com"], first_name="Grace")
    assert client.get("/hello", headers=signed_in_as(grace)).json() == "Grace"
    ada = synced_user(first_name="Ada")
    deliver("user.updated", ada, first_name="Augusta")
    assert client.get("/hello", headers=signed_in_as(ada)).json() == "Augusta"
"""


async def test_synchronous_tests(
    host_tests: HostTests, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment has a key of a real instance, and an audience that no token here has."""
    monkeypatch.setenv("CLERK_SECRET_KEY", "sk_live_0123456789abcdef")
    monkeypatch.setenv("CLERK_AUDIENCE", "elsewhere")
    files = {
        ".env": "DATABASE_SCHEMA=clerk\n",
        "shop.py": APP,
        "conftest.py": SYNC_CLIENT,
        "test_sync.py": SYNCHRONOUS,
        "test_words.py": WORDS,
        "test_of_the_host.py": OF_THE_HOST,
        "test_route_alone.py": ROUTE_ALONE,
        "test_another_process.py": ANOTHER_PROCESS,
    }
    (await asyncio.to_thread(host_tests, files)).assert_outcomes(passed=9)
    assert await is_dropped(postgres_url, await asyncio.to_thread(Path("name").read_text))


async def is_dropped(postgres_url: str, name: str) -> bool:
    connection: Any = await asyncpg.connect(postgres_url)
    named = "select count(*) from pg_database where datname = $1"
    count = await connection.fetchval(named, name)
    await connection.close()
    return bool(count == 0)


ASYNCHRONOUS = """
import pytest
import pytest_asyncio

@pytest.mark.PLUGIN
async def test_it(client, deliver, synced_user, signed_in_as):
    ada = synced_user(first_name="Ada")
    await deliver("user.updated", ada, first_name="Late", late=True)
    await deliver("user.updated", ada, first_name="Augusta")
    assert [one.status_code for one in await deliver.late()] == [204]
    assert len(await deliver.again(ada, times=2, out_of_order=True)) == 6
    assert (await client.get("/hello", headers=signed_in_as(ada))).json() == "Augusta"
    [created] = await deliver("user.created", first_name="Grace")
    assert created.status_code == 204

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


def test_asynchronous_tests(host_tests: HostTests) -> None:
    """By both of the plugins that run them, each in files of its own."""
    of_asyncio = ASYNC_CLIENT.replace("@pytest.fixture", "@pytest_asyncio.fixture")
    files = {
        "shop.py": APP,
        "test_anyio.py": ASYNCHRONOUS.replace("PLUGIN", "anyio") + ASYNC_CLIENT,
        "test_asyncio.py": ASYNCHRONOUS.replace("PLUGIN", "asyncio") + of_asyncio,
    }
    host_tests(files, "-o", "asyncio_mode=strict").assert_outcomes(passed=2)


async def test_one_client_for_all_tests_and_a_database_of_the_hosts_own(
    host_tests: HostTests, postgres_url: str
) -> None:
    test = """
import pytest

@pytest.mark.parametrize("name", ["Ada", "Grace"])
def test_it(api, deliver, synced_user, signed_in_as, clerk_database_url, name):
    assert clerk_database_url.endswith("/hosts_own")
    person = synced_user(first_name="?")
    deliver("user.updated", person, first_name=name)
    assert api.get("/hello", headers=signed_in_as(person)).json() == name
"""
    async with temporary_database(postgres_url, "hosts_own") as url:
        conftest = f"""
{SYNC_CLIENT.replace("pytest.fixture", 'pytest.fixture(scope="session")').replace("client(", "api(")}

@pytest.fixture(scope="session")
def clerk_database():
    return "{url}"
"""
        files = {"shop.py": APP, "conftest.py": conftest, "test_it.py": test}
        options = ("-o", "clerk_scope=session", "-o", "clerk_client=api")
        (await asyncio.to_thread(host_tests, files, *options)).assert_outcomes(passed=2)


def test_a_run_that_uses_none_of_it_imports_pytest_alone(
    host_tests: HostTests,
) -> None:
    """Other plugins import what they like, so none is loaded but ours."""
    test = """
import sys

def test_it():
    ours = {name for name in sys.modules if name.startswith("clerk_user_sync")}
    assert ours == {"clerk_user_sync", "clerk_user_sync.pytest_plugin"}
    heavy = {"fastapi", "httpx", "pydantic", "sqlalchemy", "asyncpg", "anyio", "cryptography"}
    assert not heavy & set(sys.modules)
"""
    others = ("asyncio", "anyio", "timeout", "xdist", "xdist.looponfail", "hypothesispytest")
    off = [argument for name in others for argument in ("-p", f"no:{name}")]
    ini = ("-o", "addopts=", "-W", "ignore::pytest.PytestConfigWarning")
    host_tests({"test_it.py": test}, *off, *ini).assert_outcomes(passed=1)
    switched_off = host_tests({}, "--fixtures", "-p", "no:clerk_user_sync", *off, *ini)
    assert "clerk_database_url" not in switched_off.stdout.str()
    assert "clerk_database_url" in host_tests({}, "--fixtures", *off, *ini).stdout.str()

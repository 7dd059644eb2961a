"""The pytest plugin, as the tests of a host use it: installed from the wheel, in a pytest of
theirs.
"""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from tests.package.conftest import PROJECT, Installed
from tests.package.host_files import (
    ANOTHER_PROCESS,
    APP,
    ASYNC_CLIENT,
    ASYNCHRONOUS,
    HANDLERS,
    OF_THE_HOST,
    ROUTE_ALONE,
    SYNC_CLIENT,
    SYNCHRONOUS,
    WORDS,
)
from tests.postgres_server import temporary_database

pytest_plugins = "pytester"

GUIDES = PROJECT / "docs" / "guides"
BLOCK = re.compile(r"(?s)```(?:python|ini)\n(# (\S+)\n.*?)```")

HostTests: TypeAlias = Callable[..., pytest.RunResult]


def blocks(guide: str) -> dict[str, str]:
    """The code of a guide, by the file name in its first line."""
    return {name: code for code, name in BLOCK.findall((GUIDES / guide).read_text())}


@pytest.fixture
def host_tests(
    installed: Installed,
    pytester: pytest.Pytester,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> HostTests:
    """Runs pytest on a host's files. DATABASE_URL is that of an existing server."""
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    # Starlette has deprecated its TestClient over httpx in favour of httpx2.
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
    assert len(files) == 15
    host_tests(files).assert_outcomes(passed=14)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg"])
def test_a_host_makes_its_tables_at_an_address_of_any_scheme(
    host_tests: HostTests, postgres_url: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url.replace("postgresql", scheme, 1))
    files = blocks("testing.md") | blocks("joins-and-migrations.md")
    needed = ("models.py", "tables/conftest.py", "tables/test_orders.py")
    host_tests({name: files[name] for name in needed}).assert_outcomes(passed=1)


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


def test_asynchronous_tests(host_tests: HostTests) -> None:
    """With both plugins that run them, each in its own files."""
    of_asyncio = ASYNC_CLIENT.replace("@pytest.fixture", "@pytest_asyncio.fixture")
    files = {
        "shop.py": APP,
        "test_anyio.py": ASYNCHRONOUS.replace("PLUGIN", "anyio") + ASYNC_CLIENT,
        "test_asyncio.py": ASYNCHRONOUS.replace("PLUGIN", "asyncio") + of_asyncio,
        "test_handlers.py": HANDLERS,
    }
    host_tests(files, "-o", "asyncio_mode=strict").assert_outcomes(passed=5)


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
        for _ in ("once", "again"):  # the database outlives the run, and has one Clerk instance
            said = await asyncio.to_thread(host_tests, files, *options)
            said.assert_outcomes(passed=2)


def test_a_run_that_uses_none_of_it_imports_pytest_alone(
    host_tests: HostTests,
) -> None:
    """Only our plugin is loaded, because others may import anything."""
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

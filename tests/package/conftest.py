import os
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from hatch_build import FOLDERS

PROJECT = Path(__file__).parents[2]
VERSION = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Installed:
    """A virtual environment that holds the wheel."""

    python: Path
    site_packages: Path

    @property
    def command(self) -> Path:
        return self.python.with_name("clerk-user-sync")

    def run(
        self, *command: str | Path, cwd: Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        kept = {"PATH": os.environ["PATH"], "HOME": str(cwd), "COLUMNS": "200", "TERM": "dumb"}
        return subprocess.run(
            list(map(str, command)),
            cwd=cwd,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist, and the wheel that is built from that sdist."""
    there = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(there)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Built(next(there.glob("*.tar.gz")), next(there.glob("*.whl")))


@pytest.fixture(scope="session")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """With the libraries of the environment of the tests."""
    made = install(built.wheel, tmp_path_factory.mktemp("venv"))
    (made.site_packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return made


def install(wheel: Path, there: Path, *requirements: str | Path) -> Installed:
    """A new environment at `there`: the wheel, and the libraries that `requirements` bring."""
    _run(sys.executable, "-m", "venv", "--without-pip", there)
    python = there / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    if requirements:
        _run(*pip, "install", "--quiet", *requirements)
    _run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel)
    asked = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    return Installed(python, Path(asked.strip()))


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def in_host(installed: Installed, tmp_path: Path) -> Callable[[str], str]:
    """Runs a program of a host application that has packages of the same names as ours."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'the host'  # {name}\n")

    def run(program: str) -> str:
        (tmp_path / "host.py").write_text(program)
        done = installed.run(installed.python, "-W", "error", "host.py", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run

"""The Dockerfile, the smoke test and the CI script, as far as they can be run without an engine."""

import compileall
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package as in the builder's stage: compiled, with the parts that are for tests."""
    package = tmp_path / "clerk_user_sync"
    for folder in ("scripts/clerk_emulator", "testing"):
        (package / folder).mkdir(parents=True)
    for name in ("service.py", "pytest_plugin.py"):
        (package / name).write_text("")
    compileall.compile_dir(package, quiet=1)
    return package


def bash(script: str, folder: Path, **environment: str) -> str:
    return subprocess.run(
        ["/bin/bash", "-euc", script],
        cwd=folder,
        env=environment or None,
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_nothing_of_the_plugin_for_tests_stays_in_the_production_image(package: Path) -> None:
    [removal] = re.findall(r"(?m)^ && (rm -r .+) \\$", (PROJECT / "Dockerfile").read_text())
    bash(removal, package)
    files = {one.name.partition(".")[0] for one in package.rglob("*") if one.is_file()}
    assert files == {"service"}


def test_the_smoke_test_finds_a_plugin_that_is_compiled(package: Path) -> None:
    smoke = (PROJECT / "tests/docker/smoke.sh").read_text()
    [for_tests] = re.findall(r"(?m)^for_tests='(.+)'$", smoke)
    (package / "pytest_plugin.py").unlink()
    found = bash(f"set -f; find . \\( {for_tests} \\)", package.parent)
    assert "__pycache__/pytest_plugin." in found


def test_ci_names_the_programs_whose_tests_were_skipped(tmp_path: Path) -> None:
    script = (PROJECT / ".ci/run").read_text()
    functions = re.findall(r"(?ms)^(?:step|has_chromium|missing_tools)\(\) .+?\}(?= >|$)", script)
    said = bash("\n".join((*functions, *script.splitlines()[-2:])), tmp_path, PATH=str(tmp_path))
    assert "passed, without the tests that need chromium, promtool, caddy" in said

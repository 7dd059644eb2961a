"""The form of our files: none is too long to read, and tests share by modules that hold no tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("adapters", "bench", "domain", "examples", "scripts", "service", "testing", "tests")
LONGEST = 300
FROM_A_TEST = re.compile(r"^(?:from|import) [\w.]*\btest_\w+", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_longer_than_300_lines(folder: str) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    assert [str(one) for one in files if len(one.read_text().splitlines()) > LONGEST] == []


def test_no_test_imports_another_test() -> None:
    tests = (ROOT / "tests").rglob("*.py")
    assert [str(one) for one in tests if FROM_A_TEST.search(one.read_text())] == []

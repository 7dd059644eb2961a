"""Every test that a document names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINE = re.compile(r"\]\(\.\./(tests/[\w/]+\.py)\)((?:`::\w+`[^|\[]*)*)")
NAME = re.compile(r"::(\w+)")


def named_tests() -> list[tuple[str, str | None]]:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    found = [(path, NAME.findall(names)) for path, names in LINE.findall(text)]
    return [(path, name) for path, names in found for name in names or [None]]


@pytest.mark.parametrize(("path", "name"), named_tests())
def test_what_a_guarantee_names_is_there(path: str, name: str | None) -> None:
    assert f"def {name or 'test_'}" in (ROOT / path).read_text()


def test_guarantees_name_tests() -> None:
    assert len(named_tests()) > 40

"""`work` with settings that it cannot work with."""

import json
from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.__main__ import main
from service.exit_code import ExitCode

HANDLERS = """
from service.changes import Changes

changes = Changes()

@changes.on("created", name="crm")
async def handle(change, user): ...
"""
PUSH = [{"name": "crm", "url": "https://crm.example.com/", "secrets": ["whsec_" + "a2tr" * 8]}]


def test_a_name_that_is_taken_twice_is_named(
    clerk: ClerkEmulator,
    store_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "handlers_of_crm.py").write_text(HANDLERS)
    monkeypatch.syspath_prepend(tmp_path)
    given = {
        **clerk.config.environment(),
        "DATABASE_URL": store_url,
        "CHANGE_HANDLERS": "handlers_of_crm:changes",
        "CHANGES_PUSH": json.dumps(PUSH),
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert main(["work"]) == ExitCode.MISCONFIGURED
    assert "two subscriptions are named crm" in capfd.readouterr().err

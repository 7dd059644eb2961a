"""`user_sync` in an environment that its application has set for itself."""

import json
from pathlib import Path

import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from scripts.clerk_emulator import ClerkEmulator
from service.app import user_sync
from service.bootstrap.settings import read_settings_of_host
from service.mistakes import mistakes
from tests.service.given_settings import ENVIRONMENT

OF_THE_HOST = {
    "CORS_ORIGINS": "*",
    "DOCS": "/docs",
    "DOCS_URL": "/docs",
    "LOG_FORMAT": "%(message)s",
    "LOG_LEVEL": "CRITICAL",
    "METRICS_PORT": "http",
    "PORT": "unix:/run/host",
    "ROOT_PATH": "/api/",
    "TRUSTED_PROXIES": "*",
}


@pytest.fixture(autouse=True)
def away_from_any_dotenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_server_and_a_log_in_another_form_stop_no_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {**ENVIRONMENT, **OF_THE_HOST}.items():
        monkeypatch.setenv(name, value)
    settings, left_out = read_settings_of_host()
    assert left_out == sorted(OF_THE_HOST)
    assert (settings.log_level, settings.docs_url, settings.cors_origins) == ("info", None, ())


def test_any_other_mistake_does_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "DOCS_URL": "/docs", "CLERK_SECRET_KEY": "canary"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        read_settings_of_host()
    assert "CLERK_SECRET_KEY: " in "\n".join(mistakes(caught.value))


async def test_what_is_left_out_is_logged(
    clerk: ClerkEmulator,
    store_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {**clerk.config.environment(), "DATABASE_URL": store_url, "DOCS_URL": "/docs"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    async with user_sync(FastAPI()):
        pass
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    named = [one["settings"] for one in said if one["event"] == "settings_left_out"]
    assert named == [["DOCS_URL"]]

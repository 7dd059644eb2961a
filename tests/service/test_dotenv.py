"""A `.env` in UTF-16 is read, and one in another encoding is refused by its name."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from scripts.clerk_emulator import EmulatorConfig
from service.bootstrap.settings import checked, read_settings
from service.dotenv import read_dotenv
from service.mistakes import mistakes
from service.settings import Settings
from testing import settings_for
from tests.service.given_settings import (
    GOOD,
    PUBLISHABLE_KEY,
    SECRET_KEY,
    WEBHOOK_SECRET,
    run,
)

LINES = "".join(f"{name.upper()}={value}\n" for name, value in GOOD.items())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_it_may_be_in_utf_8_or_in_utf_16(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"{LINES}# Grüße\nCLERK_USER_SYNC_PORT=1234\n", encoding=encoding)
    told = read_settings(_env_file=file)
    assert (told.clerk_secret_key.get_secret_value(), told.port) == (SECRET_KEY, 1234)
    assert read_dotenv(file)["CLERK_SECRET_KEY"] == SECRET_KEY


UNREADABLE = {
    "in Latin-1": f"{LINES}# Grüße canary".encode("latin-1"),
    "in UTF-16 without its mark": f"{LINES}# canary".encode("utf-16-le"),
    "in UTF-32": f"{LINES}# canary".encode("utf-32"),
    "cut within UTF-16": f"{LINES}# canary".encode("utf-16")[:-1],
    "no text": b"\x00\xff\x00canary",
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_what_is_written_otherwise_is_refused(tmp_path: Path, how: str) -> None:
    file = tmp_path / ".env"
    file.write_bytes(UNREADABLE[how])
    with pytest.raises(ValidationError) as caught:
        read_settings(_env_file=file)
    (told,) = mistakes(caught.value)
    assert told.startswith(f"{file}: it is not ")
    assert "canary" not in told


@pytest.mark.parametrize("command", [["serve"], ["migrate"]])
def test_the_service_and_migrate_say_so_and_exit_with_78(
    tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / ".env").write_bytes(UNREADABLE["in Latin-1"])
    ended = run(*command, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.splitlines()[1:] == ["  .env: it is not in UTF-8: save it in UTF-8"]


def test_settings_that_are_given_in_code_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host's own may be in another encoding."""
    values: dict[str, Any] = {**GOOD}
    given = Settings(_env_file=None, **values)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes(UNREADABLE["in Latin-1"])
    assert dict(checked(given)) == dict(given)
    assert settings_for(EmulatorConfig(), "postgresql://u@h/d").database_schema is None


def test_a_directory_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert read_settings(_env_file=tmp_path / ".env", **GOOD).port == 8000


FILES = {
    "plain": "{name}={value}\n",
    "with Windows line ends": "{name}={value}\r\n",
    "quoted": '{name}="{value}"\n',
    "quoted simply": "{name}='{value}'\n",
    "exported": "export {name}={value}\n",
    "spaced": "{name} = {value}\n",
    "commented": "{name}={value} # from the dashboard\n",
}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "with a byte order mark"])
def test_a_dotenv_file_may_be_written_in_many_ways(tmp_path: Path, form: str, mark: bytes) -> None:
    lines = [FILES[form].format(name=name.upper(), value=value) for name, value in GOOD.items()]
    file = tmp_path / ".env"
    file.write_bytes(mark + "".join([*lines, "DATABASE_URL=\n", "UNKNOWN=1\n"]).encode())
    told = read_settings(_env_file=file)
    assert told.clerk_secret_key.get_secret_value() == SECRET_KEY
    assert told.clerk_publishable_key == PUBLISHABLE_KEY
    assert told.clerk_webhook_signing_secret[0].get_secret_value() == WEBHOOK_SECRET
    assert told.database_url is None


def test_a_wrong_dotenv_file_is_told_by_name_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    wrong = [f"{name.upper()}=canary" for name in GOOD]
    file.write_text("\n".join([*wrong, "DATABASE_URL=postgresql://u:canary/x@h"]))
    with pytest.raises(ValidationError) as caught:
        read_settings(_env_file=file)
    told = "\n".join(mistakes(caught.value))
    assert "DATABASE_URL" in told
    assert "canary" not in told

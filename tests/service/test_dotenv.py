"""A `.env` in UTF-16 is read, and one in another encoding is refused by its name."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.bootstrap.settings import read_settings
from service.dotenv import read_dotenv
from service.mistakes import mistakes
from tests.service.test_settings import GOOD, SECRET_KEY
from tests.service.test_settings_of_commands import run

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


def test_a_directory_of_that_name_is_no_file(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert read_settings(_env_file=tmp_path / ".env", **GOOD).port == 8000

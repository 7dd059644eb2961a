"""The state file."""

import asyncio
import shutil
import stat
from pathlib import Path

import orjson
import pytest

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig
from scripts.clerk_emulator.state import StateFile, load_state
from tests.e2e.processes import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "clerk.json"


async def test_a_change_is_saved_while_the_emulator_runs(
    emulator: ClerkEmulator, path: Path
) -> None:
    file = StateFile(path, emulator, every=0.01)
    await file.start()
    emulator.create_user(username="ada")

    def is_saved() -> bool:
        saved = load_state(path)
        return saved is not None and [user.username for user in saved.users] == ["ada"]

    await eventually(is_saved)
    await file.stop()


async def test_the_last_change_is_saved_at_the_end(emulator: ClerkEmulator, path: Path) -> None:
    file = StateFile(path, emulator)
    await file.start()
    emulator.keys.rotate()
    await file.stop()

    saved = load_state(path)

    assert saved is not None
    restored = ClerkEmulator(emulator.config, signing_key=saved.signing_key)
    assert restored.jwks() == emulator.jwks()


async def test_a_file_that_cannot_be_written_is_told_once_and_written_when_it_can_be(
    emulator: ClerkEmulator, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = path.parent / "folder"
    folder.mkdir()
    file = StateFile(folder / path.name, emulator, every=0.01)
    await file.start()
    shutil.rmtree(folder)
    emulator.create_user(username="ada")

    await eventually(lambda: "The state cannot be saved: " in capsys.readouterr().err)
    await asyncio.sleep(0.05)
    folder.mkdir()

    await eventually((folder / path.name).exists)
    await file.stop()
    assert capsys.readouterr().err == ""


def test_nothing_is_written_where_nothing_changed(emulator: ClerkEmulator, path: Path) -> None:
    file = StateFile(path, emulator)
    file.save()
    path.unlink()

    file.save()

    assert not path.exists()


def test_a_user_is_restored_as_it_was(emulator: ClerkEmulator, path: Path) -> None:
    emulator.create_user(
        email_address=["ada@example.com", "lovelace@example.com"],
        phone_number=["+15555550100"],
        public_metadata={"plan": {"seats": [1, 2]}},
        password="correct horse battery staple",
    )
    StateFile(path, emulator).save()

    saved = load_state(path)

    assert saved is not None
    assert list(saved.users) == list(emulator.users)


def test_only_the_owner_can_read_the_file_and_no_other_file_is_left(
    emulator: ClerkEmulator, path: Path
) -> None:
    StateFile(path, emulator).save()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_unknown_field_of_a_user_is_ignored(emulator: ClerkEmulator, path: Path) -> None:
    """A developer's file outlives a release that no longer has one of its fields."""
    emulator.create_user(username="ada")
    StateFile(path, emulator).save()
    saved = orjson.loads(path.read_bytes())
    saved["users"][0]["shoe_size"] = 38
    path.write_bytes(orjson.dumps(saved))

    restored = load_state(path)

    assert restored is not None
    assert list(restored.users) == list(emulator.users)


def test_without_a_file_there_is_no_state(path: Path) -> None:
    assert load_state(path) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"users": 1}'], ids=["empty", "cut", "list", "bare", "odd"]
)
def test_another_file_is_refused(path: Path, content: str) -> None:
    path.write_text(content)

    with pytest.raises(ValueError, match="not a state file"):
        load_state(path)


def test_a_config_keeps_its_own_secrets_unless_given() -> None:
    assert EmulatorConfig().secret_key != EmulatorConfig().secret_key

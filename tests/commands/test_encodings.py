"""Output for a terminal whose encoding is not UTF-8."""

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.commands.commands import Operator
from tests.commands.scenes import ids_of
from tests.commands.terminal import Terminal


@pytest.fixture
async def latin(clerk: ClerkEmulator, terminal: Terminal, sure: Operator) -> Terminal:
    """Łucja's first name, which Latin-1 cannot write, differs; so does Zoë's, which it can."""
    for name in ("Łucja", "Zoë"):
        clerk.create_user(email_address=[f"{len(name)}@example.com"], first_name=name)
    assert (await sure.run("backfill")).code == 0
    for user_id in ids_of(clerk):
        clerk.update_user(user_id, last_name="Łoś")
    return terminal.told(PYTHONIOENCODING="latin-1")


async def test_what_it_lacks_is_shown_by_number(clerk: ClerkEmulator, latin: Terminal) -> None:
    ended = await latin.run("explain", ids_of(clerk)[0], "--live")
    assert (ended.code, ended.stderr) == (0, "")
    assert r"\u2260 last_name: " in ended.stdout
    assert r"= first_name: \u0141ucja" in ended.stdout


async def test_a_repair_that_shows_values_is_done_whole(
    clerk: ClerkEmulator, latin: Terminal
) -> None:
    repair = ("reconcile", "--full", "--repair", "--show-values")
    ended = await latin.run(*repair)
    assert (ended.code, ended.stdout.count(r"at Clerk \u0141o\u015b")) == (0, 2)
    assert (await latin.run(*repair, "--json")).outcomes == {}


async def test_json_is_utf_8(clerk: ClerkEmulator, latin: Terminal) -> None:
    ended = await latin.run("explain", ids_of(clerk)[1], "--live", "--json")
    [compared] = [one for one in ended.records if one.get("field") == "first_name"]
    assert (ended.code, compared["clerks"]) == (0, "Zoë")

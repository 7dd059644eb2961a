"""Every end of a run has a text and an exit code, never a traceback."""

import errno
from collections.abc import Callable

import pytest

from domain.errors import (
    AlreadyRunning,
    CursorRefused,
    EndpointUnavailable,
    FellBehind,
    IdentityProviderUnavailable,
    InvalidChangesToken,
    InvalidSession,
    InvalidSignature,
    NotTaken,
    ReceiverGone,
    SchemaRefused,
    SecretKeyRefused,
    SessionPending,
    SigningKeysUnavailable,
    StorageUnavailable,
    StoreOfAnotherInstance,
    SyncError,
    Unavailable,
    Unstorable,
    UserBanned,
    UserDeleted,
    UserRefused,
    UserUnknown,
    UserUnreadable,
    WrongInstance,
)
from scripts.commands.command import Command
from scripts.commands.ending import Refusal, ending
from scripts.commands.entries import OPERATORS, Entry
from scripts.commands.screen import Screen
from service.exit_code import ExitCode
from tests.named_errors import every_of_the_domain

ENDINGS: dict[BaseException, tuple[int, str]] = {
    AlreadyRunning("backfill"): (75, "Another run is under way: backfill"),
    SecretKeyRefused("x"): (77, "Clerk refuses CLERK_SECRET_KEY: x"),
    WrongInstance("x"): (77, "The Clerk instance is not the one of our rows: x"),
    Unstorable("x"): (65, "The store refuses the data: x"),
    StorageUnavailable("x"): (69, "The store is unavailable: x"),
    StorageUnavailable(): (69, "The store is unavailable"),
    SchemaRefused("x"): (78, "The store's schema cannot be used: x"),
    StoreOfAnotherInstance("x"): (77, "The store holds the users of another Clerk instance: x"),
    IdentityProviderUnavailable("x"): (69, "Clerk is unavailable: x"),
    CursorRefused("x"): (69, "Clerk's list of users cannot be resumed: x"),
    UserUnreadable("x"): (69, "Clerk has that user, in a form that cannot be kept: x"),
    SigningKeysUnavailable("x"): (69, "The signing keys are not loaded: x"),
    EndpointUnavailable("x"): (69, "The service to post to is unavailable: x"),
    Refusal(ExitCode.USAGE, "x"): (64, "x"),
    OSError(errno.ENOSPC, "No space left on device"): (
        74,
        "Input or output: No space left on device",
    ),
    OSError(): (74, "Input or output: OSError"),
    KeyboardInterrupt(): (130, "Stopped. Go on so."),
}
OF_REQUESTS_AND_RECEIVERS: set[type[SyncError]] = {
    *(InvalidSignature, InvalidSession, InvalidChangesToken, SessionPending),
    *(UserRefused, UserDeleted, UserUnknown, UserBanned),
    *(FellBehind, NotTaken, ReceiverGone),
}
"""No command ends with one of these."""


def raising(error: BaseException) -> Callable[[], ExitCode]:
    def work() -> ExitCode:
        raise error

    return work


@pytest.mark.parametrize("error", ENDINGS, ids=repr)
def test_it_ends_with_words_and_a_code(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    code = ending(Screen(as_json=False), raising(error), if_stopped="Go on so.")
    assert (code, capsys.readouterr().err) == (ENDINGS[error][0], f"{ENDINGS[error][1]}\n")


def test_every_error_has_its_own_sentence_and_an_ending() -> None:
    kinds = {*every_of_the_domain()}
    assert len({kind.words for kind in kinds}) == len(kinds)
    ending_so = {type(error) for error in ENDINGS if isinstance(error, SyncError)}
    assert kinds - {Unavailable} == ending_so | OF_REQUESTS_AND_RECEIVERS


def test_what_went_well_ends_so() -> None:
    screen = Screen(as_json=False)
    assert ending(screen, lambda: ExitCode.OK, if_stopped="") is ExitCode.OK
    assert ending(screen, lambda: ExitCode.BAD_DATA, if_stopped="") is ExitCode.BAD_DATA


def test_a_run_that_never_began_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    command = Command(name="backfill", if_stopped="")
    screen = Screen(as_json=False)
    for code in (ExitCode.BAD_DATA, ExitCode.UNAVAILABLE, ExitCode.MISCONFIGURED):
        command._show_table(screen, code)
    assert capsys.readouterr().out == ""
    command.tally["created"] += 1
    command._show_table(screen, ExitCode.UNAVAILABLE)
    assert "created" in capsys.readouterr().out


def test_what_is_shown_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=False)
    screen.line(":smile: [red]")
    screen.say(":smile: [red]")
    screen.table("", {":smile:": ":smile:"})
    shown = capsys.readouterr()
    assert (shown.out.count(":smile:"), shown.out.count("[red]")) == (3, 1)
    assert shown.err == ":smile: [red]\n"


@pytest.mark.parametrize("entry", OPERATORS.values(), ids=OPERATORS)
def test_each_help_has_the_exit_codes_that_any_command_may_end_with(entry: Entry) -> None:
    ends = {ExitCode.OK, ExitCode.USAGE, ExitCode.IO_ERROR, ExitCode.INTERRUPTED}
    assert {*ends, ExitCode.BROKEN_PIPE} <= set(entry.exit_codes)

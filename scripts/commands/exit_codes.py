"""How a run ends, as a number: BSD's sysexits, and 128 + a signal as every shell has it."""

from enum import IntEnum

from domain.errors import AlreadyRunning, SecretKeyRefused, SyncError, Unstorable, WrongInstance


class ExitCode(IntEnum):
    OK = 0
    NOT_WELL = 1
    """`doctor` found something bad."""
    USAGE = 64
    BAD_DATA = 65
    UNAVAILABLE = 69
    IO_ERROR = 74
    ALREADY_RUNNING = 75
    NOT_PERMITTED = 77
    MISCONFIGURED = 78
    INTERRUPTED = 130
    NOBODY_READS = 141


_OF_ERRORS = {
    AlreadyRunning: ExitCode.ALREADY_RUNNING,
    SecretKeyRefused: ExitCode.NOT_PERMITTED,
    WrongInstance: ExitCode.NOT_PERMITTED,
    Unstorable: ExitCode.BAD_DATA,
}


class Refusal(Exception):
    """The run cannot go on, and the operator can do something about it."""

    def __init__(self, code: ExitCode, words: str) -> None:
        super().__init__(words)
        self.code = code


def refusal(error: SyncError) -> Refusal:
    """A named error as the operator sees it. What can pass by itself is `UNAVAILABLE`."""
    code = _OF_ERRORS.get(type(error), ExitCode.UNAVAILABLE)
    return Refusal(code, f"{_said(error)}: {error}" if str(error) else _said(error))


def _said(error: SyncError) -> str:
    return {
        "AlreadyRunning": "Nothing was done",
        "SecretKeyRefused": "Clerk refuses CLERK_SECRET_KEY",
        "WrongInstance": "CLERK_SECRET_KEY is another instance's",
        "Unstorable": "The store refuses the data",
        "StorageUnavailable": "The store is unavailable",
        "FrontDoorUnavailable": "Nothing can be posted there",
    }.get(type(error).__name__, "Clerk is unavailable")

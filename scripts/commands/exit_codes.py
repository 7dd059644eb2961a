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
    """A named error as the operator sees it. What may pass by itself is `UNAVAILABLE`."""
    code = next((_OF_ERRORS[k] for k in type(error).__mro__ if k in _OF_ERRORS), None)
    words = f"{error.words}: {error}" if str(error) else error.words
    return Refusal(code or ExitCode.UNAVAILABLE, f"{words[0].upper()}{words[1:]}")

"""How a command ends: an exit code, and the text of an error. No error shows a traceback."""

from collections.abc import Callable

from domain.errors import (
    AlreadyRunning,
    SchemaRefused,
    SecretKeyRefused,
    StoreOfAnotherInstance,
    SyncError,
    Unstorable,
    WrongInstance,
)
from scripts.commands.screen import Screen
from service.exit_code import ExitCode

_OF_ERRORS = {
    AlreadyRunning: ExitCode.ALREADY_RUNNING,
    SchemaRefused: ExitCode.MISCONFIGURED,
    SecretKeyRefused: ExitCode.NOT_PERMITTED,
    StoreOfAnotherInstance: ExitCode.NOT_PERMITTED,
    WrongInstance: ExitCode.NOT_PERMITTED,
    Unstorable: ExitCode.BAD_DATA,
}


class Refusal(Exception):
    """The run ends with a text that tells the operator what to do."""

    def __init__(self, code: ExitCode, words: str) -> None:
        super().__init__(words)
        self.code = code


def ending(screen: Screen, work: Callable[[], ExitCode], *, if_stopped: str) -> ExitCode:
    """Do the work, and show its error. Returns the exit code. `if_stopped` is shown at Ctrl-C."""
    try:
        return work()
    except KeyboardInterrupt:
        screen.say(f"Stopped. {if_stopped}")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        screen.close()
        return ExitCode.BROKEN_PIPE
    except OSError as error:
        screen.close_if_full()
        return _refused(screen, Refusal(ExitCode.IO_ERROR, f"Input or output: {_words(error)}"))
    except SyncError as error:
        return _refused(screen, _refusal(error))
    except Refusal as refused:
        return _refused(screen, refused)


def _refusal(error: SyncError) -> Refusal:
    """A named error as a refusal. Errors without a code of their own are `UNAVAILABLE`."""
    code = next((_OF_ERRORS[k] for k in type(error).__mro__ if k in _OF_ERRORS), None)
    words = f"{error.words}: {error}" if str(error) else error.words
    return Refusal(code or ExitCode.UNAVAILABLE, f"{words[0].upper()}{words[1:]}")


def _refused(screen: Screen, refused: Refusal) -> ExitCode:
    screen.say(str(refused))
    return refused.code


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__

"""Whatever ends a run becomes words and an exit code, never a traceback."""

from collections.abc import Callable

from domain.errors import SyncError
from scripts.commands.exit_codes import ExitCode, Refusal, refusal
from scripts.commands.screen import Screen


def ending(screen: Screen, work: Callable[[], ExitCode], *, if_stopped: str) -> ExitCode:
    """What `work` answers, or what became of it. `if_stopped`: how to go on after Ctrl-C."""
    try:
        return work()
    except KeyboardInterrupt:
        screen.say(f"Stopped. {if_stopped}")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        screen.close()
        return ExitCode.NOBODY_READS
    except OSError as error:
        screen.close_if_full()
        return _refused(screen, Refusal(ExitCode.IO_ERROR, f"Input or output: {_words(error)}"))
    except SyncError as error:
        return _refused(screen, refusal(error))
    except Refusal as refused:
        return _refused(screen, refused)


def _refused(screen: Screen, refused: Refusal) -> ExitCode:
    screen.say(str(refused))
    return refused.code


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__

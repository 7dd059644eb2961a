"""Signals that end a run."""

import asyncio
import signal
from collections.abc import Callable


def hangup() -> signal.Signals | None:
    """SIGHUP of a terminal that closes, unless `nohup` has set it to ignore. Windows has none."""
    number: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        return None
    return number


def at_signal(number: signal.Signals, call: Callable[[], object]) -> None:
    """Let the running event loop call this at the signal, on Windows too."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))

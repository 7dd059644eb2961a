"""The signal of a terminal that closes."""

import signal


def hangup() -> signal.Signals | None:
    """SIGHUP, unless `nohup` has set it to ignore. Windows has none."""
    number: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if number is None or signal.getsignal(number) is signal.SIG_IGN:
        return None
    return number

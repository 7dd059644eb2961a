"""The address of an embedded server that another process has started."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from adapters.embedded_postgres.cluster import address

_PORT = 3
"""The line of `postmaster.pid` with the server's port."""


def address_of_running(data_dir: Path) -> str | None:
    """The address of the server that runs on `data_dir`, or None if none does or it only starts."""
    home = data_dir.resolve() / "postgres"
    if not _is_locked(home / "lock"):
        return None
    with suppress(OSError, IndexError, ValueError):
        port = int((home / "cluster" / "postmaster.pid").read_text().split("\n")[_PORT])
        password = (home / "password").read_text()
        return address(password, port, "postgres")
    return None


def _is_locked(lock: Path) -> bool:
    """Whether a server holds the lock. A file that a dead server left is not held."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

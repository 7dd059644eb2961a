"""One process at a time may serve a data directory."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.embedded_postgres.errors import EmbeddedPostgresUnavailable

PATIENCE = 15.0  # seconds within which a server that is stopping has to be gone


@contextmanager
def locked(home: Path) -> Iterator[int]:
    """The lock's file descriptor, for the keeper and the server to inherit.

    The kernel frees the lock when the last process that inherited it has ended.
    Raises `EmbeddedPostgresUnavailable` when another process holds it.
    """
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, home)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, home: Path) -> None:
    """Waits only when the last owner has ended and its server is still stopping."""
    give_up = time.monotonic() + PATIENCE
    while not _try_lock(descriptor):
        owner = int(os.pread(descriptor, 20, 0) or b"0")
        if (owner and _is_alive(owner)) or time.monotonic() > give_up:
            raise EmbeddedPostgresUnavailable(
                f"already running: process {owner} keeps a server on {home}. "
                "Stop it, or use its address as DATABASE_URL"
            )
        time.sleep(0.05)
    os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

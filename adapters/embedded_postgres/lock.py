"""A lock that allows one process at a time to serve a data directory."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.embedded_postgres.cluster import EmbeddedPostgresUnavailable

TIMEOUT = 15.0  # seconds for a server that is stopping to end


def lock_in(home: Path) -> Path:
    """The file of the lock."""
    return home / "lock"


@contextmanager
def locked(home: Path) -> Iterator[int]:
    """Hold the lock, whose file descriptor the keeper and the server inherit.

    The kernel releases it when the last process that inherited it has ended. Raises
    `EmbeddedPostgresUnavailable` if another process holds it.
    """
    descriptor = os.open(lock_in(home), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, home)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(home: Path) -> bool:
    """Whether a server holds the lock. A file that a dead server left is not held."""
    try:
        descriptor = os.open(lock_in(home), os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, home: Path) -> None:
    """Take the lock. Waits only if its owner has ended and the server is still stopping."""
    give_up = time.monotonic() + TIMEOUT
    while not _try_lock(descriptor):
        owner = int(os.pread(descriptor, 20, 0) or b"0")
        if (owner and _is_alive(owner)) or time.monotonic() > give_up:
            name = f"process {owner}" if owner else "another process"
            raise EmbeddedPostgresUnavailable(
                f"already running: {name} has a server on {home}. "
                "Stop it, or use its address as DATABASE_URL"
            )
        time.sleep(0.05)
    os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
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

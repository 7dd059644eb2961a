"""The directory that holds a cluster, its password, its log and its lock."""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

ROOM_IN_MEMORY = 512 << 20  # bytes free in /dev/shm that make it fit for throw-away data


def kept_home(data_dir: Path) -> Path:
    """`data_dir/postgres`, closed to other users."""
    home = data_dir.resolve() / "postgres"
    home.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def temporary_home() -> Path:
    """A new directory, in memory where there is enough of it."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the directory
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_IN_MEMORY
    return Path(tempfile.mkdtemp(prefix="embedded-postgres-", dir=memory if roomy else None))


def password_in(home: Path) -> str:
    """The cluster's password, made at first use, in a file that only its owner may read."""
    file = home / "password"
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(24))
    return file.read_text()

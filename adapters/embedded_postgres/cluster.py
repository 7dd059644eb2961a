"""A cluster: the directory that holds it, how it is created, and its settings."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

USER = "postgres"

ROOM_IN_MEMORY = 512 << 20  # bytes that must be free in /dev/shm for temporary data

_ALWAYS: Mapping[str, str | int] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "dynamic_shared_memory_type": "mmap",  # in the data directory: a crash leaves nothing elsewhere
}
_THROW_AWAY: Mapping[str, str | int] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class EmbeddedPostgresUnavailable(Exception):
    """The embedded server cannot be started. The message says what to install, set or stop."""


def home_of(data_dir: Path) -> Path:
    """`data_dir/postgres`, where a server that is kept has its files."""
    return data_dir.resolve() / "postgres"


def cluster_in(home: Path) -> Path:
    """The directory that the server calls its data directory."""
    return home / "cluster"


def kept_home(data_dir: Path) -> Path:
    """The home of a server that is kept, made if need be and closed to other users."""
    home = home_of(data_dir)
    home.parent.mkdir(parents=True, exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    return home


def temporary_home() -> Path:
    """A new directory, in memory if there is enough."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes the directory
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_IN_MEMORY
    return Path(tempfile.mkdtemp(prefix="embedded-postgres-", dir=memory if roomy else None))


def address(password: str, port: int, database: str) -> str:
    """`postgresql://…`, with the password in it."""
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{quote(database, safe='')}"


def password_in(home: Path) -> str:
    """The cluster's password, generated on first use, in a file that only its owner can read."""
    file = home / "password"
    if not file.exists():
        # Written under another name and then renamed: on a full disk it would be left empty.
        draft = home / "password.new"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(24))
        draft.rename(file)
    return file.read_text()


def default_settings(*, durable: bool) -> dict[str, str | int]:
    """The settings of PostgreSQL by name. Without `durable`, a crash may lose data."""
    return dict(_ALWAYS) if durable else {**_ALWAYS, **_THROW_AWAY}


def initdb_options(directory: Path, password_file: Path, *, durable: bool) -> list[str]:
    """The arguments of `initdb` for a cluster in UTF-8 that compares text by code point."""
    return [
        f"--pgdata={directory}",
        f"--username={USER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *([] if durable else ["--no-sync"]),
    ]

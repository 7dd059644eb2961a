"""How a cluster is made, and the settings it is served with."""

from collections.abc import Mapping
from pathlib import Path

USER = "postgres"

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


def default_settings(*, durable: bool) -> dict[str, str | int]:
    """PostgreSQL's settings by name. Without `durable`, a crash may lose data."""
    return dict(_ALWAYS) if durable else {**_ALWAYS, **_THROW_AWAY}


def initdb_options(directory: Path, password_file: Path, *, durable: bool) -> list[str]:
    """For a cluster in UTF-8 whose text compares by code point, whatever the machine's locale."""
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

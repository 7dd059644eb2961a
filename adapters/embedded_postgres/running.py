"""The address of an embedded server that another process has started."""

from contextlib import suppress
from pathlib import Path

from adapters.embedded_postgres.cluster import address, cluster_in, home_of
from adapters.embedded_postgres.lock import is_locked

_PORT = 3
"""The line of `postmaster.pid` with the server's port."""


def address_of_running(data_dir: Path) -> str | None:
    """The address of the server that runs on `data_dir`, or None if none does or it only starts."""
    home = home_of(data_dir)
    if not is_locked(home):
        return None
    with suppress(OSError, IndexError, ValueError):
        port = int((cluster_in(home) / "postmaster.pid").read_text().split("\n")[_PORT])
        password = (home / "password").read_text()
        return address(password, port, "postgres")
    return None

"""pgbouncer in transaction mode, with its defaults."""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import asyncpg
import pytest

from tests.e2e.processes import eventually, reserved_port

SERVER_CONNECTIONS = 3
"""Far fewer than clients, so that the statements of a client reach different server sessions."""

_CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user} password={password}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""


def pgbouncer() -> str:
    """The path of the program. Skips the test if it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
    program = shutil.which("pgbouncer", path=path)
    return program or pytest.skip("pgbouncer is not installed (apt install pgbouncer)")


@asynccontextmanager
async def pooled(url: str) -> AsyncIterator[str]:
    """The URL of a pooler in front of the server at `url`, during the block."""
    server = urlsplit(url)
    with reserved_port() as port, tempfile.TemporaryDirectory() as directory:
        process = _start(server, port.number, Path(directory, "pgbouncer.ini"))
        pooler = server._replace(netloc=f"{server.username}@127.0.0.1:{port.number}").geturl()
        try:
            await eventually(lambda: _answers(pooler))
            yield pooler
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)


def _start(server: SplitResult, port: int, ini: Path) -> "subprocess.Popen[bytes]":
    configuration = _CONFIGURATION.format(
        host=server.hostname,
        server_port=server.port,
        user=server.username,
        password=server.password,
        port=port,
        size=SERVER_CONNECTIONS,
    )
    ini.write_text(configuration)
    return subprocess.Popen([pgbouncer(), "--quiet", *_as_nobody(ini), ini])


def _as_nobody(ini: Path) -> list[str]:
    """Arguments with which root can start pgbouncer, which refuses to run as root."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    for path in (ini.parent, ini):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return ["--user=nobody"]


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, statement_cache_size=0)
        await connection.close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True

"""Real dumps of a database, restored with Postgres's own programs."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from adapters.embedded_postgres.binaries import find_binaries
from tests.postgres_server import temporary_database


def dumped(url: str, *options: str) -> bytes:
    command = [str(find_binaries() / "pg_dump"), "--dbname", url, *options]
    return subprocess.run(command, check=True, capture_output=True).stdout


def restored(url: str, dump: bytes) -> None:
    # Ours is the pg_dump of a newer Postgres, which sets what an older server does not know.
    dump = dump.replace(b"SET transaction_timeout = 0;\n", b"")
    command = [str(find_binaries() / "psql"), "--quiet", "-v", "ON_ERROR_STOP=1", url]
    subprocess.run(command, input=dump, check=True, capture_output=True)


@asynccontextmanager
async def empty_database(postgres_url: str) -> AsyncIterator[str]:
    async with temporary_database(postgres_url, f"restored_{uuid4().hex}") as url:
        yield url

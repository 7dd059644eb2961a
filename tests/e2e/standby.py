"""A primary and a synchronous standby, run with the embedded server's programs."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.embedded_postgres.binaries import find_binaries
from tests.e2e.proxy import Proxy, proxied

SYNCHRONOUS = {"synchronous_standby_names": "*"}


@dataclass(frozen=True)
class Pair:
    """Every commit of the primary is on the standby. `network` is the proxy of the primary."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    network: Proxy

    @property
    def url(self) -> str:
        """A URL with both addresses, comma-separated."""
        primary, standby = urlsplit(self.network.url), urlsplit(self.standby.url())
        host = standby.netloc.rpartition("@")[2]
        return primary._replace(netloc=f"{primary.netloc},{host}").geturl()

    async def promote(self) -> None:
        """Make the standby the primary."""
        sql = await asyncpg.connect(self.standby.url())
        assert await sql.fetchval("select pg_promote()")
        await sql.close()


@asynccontextmanager
async def primary_and_standby(directory: Path) -> AsyncIterator[Pair]:
    """Both servers, the standby caught up; stopped after the block."""
    primary = EmbeddedPostgres(directory / "primary", settings=SYNCHRONOUS)
    standby = EmbeddedPostgres(directory / "standby")
    try:
        await asyncio.to_thread(primary.start)
        await asyncio.to_thread(copy, primary, directory)
        await asyncio.to_thread(standby.start)
        async with proxied(primary.url()) as network:
            yield Pair(primary, standby, network)
    finally:
        await asyncio.to_thread(standby.stop)
        await asyncio.to_thread(primary.stop)


def copy(primary: EmbeddedPostgres, directory: Path) -> None:
    """Copy the primary's cluster and password to the standby's directory."""
    home = directory / "standby" / "postgres"
    home.mkdir(parents=True)
    shutil.copy(directory / "primary" / "postgres" / "password", home / "password")
    subprocess.run(
        [
            find_binaries() / "pg_basebackup",
            *("--dbname", primary.url(), "--pgdata", home / "cluster"),
            *("--checkpoint", "fast", "--write-recovery-conf", "--no-sync"),
        ],
        check=True,
    )

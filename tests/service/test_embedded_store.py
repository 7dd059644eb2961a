import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from adapters.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresUnavailable
from adapters.postgres.servers import Servers
from service.bootstrap.store import store_address
from service.jobs import keep_running
from service.log import line_logger
from service.settings import StoreSettings


class Server:
    """Dead at first. `failures` restarts fail before one succeeds."""

    def __init__(self, failures: int) -> None:
        self.running = asyncio.Event()
        self._failures = failures
        self._loop = asyncio.get_running_loop()

    def is_running(self) -> bool:
        return self.running.is_set()

    def restart(self) -> None:
        self._failures -= 1
        if self._failures >= 0:
            raise EmbeddedPostgresUnavailable("out of memory")
        self._loop.call_soon_threadsafe(self.running.set)


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_dead_server_is_restarted_until_that_succeeds(failures: int) -> None:
    lines = io.StringIO()
    server, log = Server(failures), line_logger("info", "json", lines)
    keeper = asyncio.create_task(
        keep_running(server, EmbeddedPostgresUnavailable, log, every=0.001)
    )
    await asyncio.wait_for(server.running.wait(), 10)
    while "restarted" not in lines.getvalue():
        await asyncio.sleep(0.001)
    keeper.cancel()
    logged = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    downs = [("embedded_postgres_down", "out of memory")] * failures
    assert [(line["event"], line.get("cause")) for line in logged] == [
        *downs,
        ("embedded_postgres_restarted", None),
    ]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a server runs."""
    directory = tmp_path_factory.mktemp("embedded")
    with EmbeddedPostgres(directory):
        yield directory


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PGSSLMODE", "require"),
        ("PGREQUIRESSL", "1"),
        ("PGSSLNEGOTIATION", "direct"),
        ("PGCHANNELBINDING", "require"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGGSSENCMODE", "require"),
        ("PGSSLSNI", "0"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGHOST", "no.such.host.invalid"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "nowhere"),
    ],
)
async def test_libpqs_variables_are_about_other_servers(
    data_dir: Path, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    async with store_address(StoreSettings(_env_file=None, data_dir=data_dir)) as address:
        connection = await Servers(address).connect(timeout=10)
        assert await connection.fetchval("select current_user") == "postgres"
        await connection.close()

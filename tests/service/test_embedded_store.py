import asyncio
import io

import orjson
import pytest

from adapters.embedded_postgres import EmbeddedPostgresUnavailable
from service.jobs import keep_running
from service.log import line_logger


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

"""The process is suspended for a while, as when its machine is moved to another host."""

import asyncio
import signal
from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.edge.budget import Budget
from tests.e2e.processes import environment_for, running_process

pytestmark = pytest.mark.slow

CONNECTIONS = 20
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: service\r\nConnection: close\r\n\r\n"


async def test_requests_sent_while_the_service_was_suspended_are_answered(
    clerk: ClerkEmulator, store: str, tmp_path: Path
) -> None:
    async with running_process(environment_for(clerk, store), tmp_path) as service:
        callers = [
            await asyncio.open_connection("127.0.0.1", service.port) for _ in range(CONNECTIONS)
        ]
        assert await service.is_ready()  # all of them are accepted now
        service.send_signal(signal.SIGSTOP)
        for _, writer in callers:
            writer.write(REQUEST)
        await asyncio.sleep(Budget().head_seconds + 1)
        service.send_signal(signal.SIGCONT)
        answers = [await reader.read() for reader, _ in callers]
        for _, writer in callers:
            writer.close()
    assert [answer.startswith(b"HTTP/1.1 200") for answer in answers] == [True] * CONNECTIONS

"""The service as a process whose output goes nowhere."""

from pathlib import Path
from signal import SIGTERM

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.messages import sign_up
from tests.e2e.processes import ServiceProcess, environment_for

UNFLUSHED = 120
"""Python's exit code if it cannot flush its output at exit."""


class Unheard(ServiceProcess):
    """Its output and its errors go to a disk that is full."""

    @property
    def _stdout(self) -> Path:
        return Path("/dev/full")

    @property
    def _stderr(self) -> Path:
        return Path("/dev/full")


@pytest.mark.slow
async def test_a_service_whose_log_has_no_room_starts_serves_and_stops(
    clerk: ClerkEmulator, store: str, tmp_path: Path
) -> None:
    service = Unheard(environment_for(clerk, store), tmp_path)
    try:
        await service.start()
        assert (await service.deliver(sign_up(clerk))).status_code == 204
        assert (await service.me("no token")).status_code == 401
        service.send_signal(SIGTERM)
        assert await service.ended() in {0, UNFLUSHED}
    finally:
        await service.close()

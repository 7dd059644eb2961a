"""Processes of `python -m service work`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.processes import ROOT, environment_for, eventually


class Workers:
    """They run the handlers of `change_handlers`, whose effects go to `effects_url`."""

    def __init__(self, clerk: ClerkEmulator, url: str, effects_url: str, directory: Path) -> None:
        self._environment = {
            **environment_for(clerk, url),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LOG_FORMAT": "json",
            "CHANGE_HANDLERS": "tests.e2e.change_handlers:changes",
            "EFFECTS_URL": effects_url,
        }
        self._directory = directory
        self.running: dict[subprocess.Popen[bytes], Path] = {}
        self._started = 0

    def start(self) -> "subprocess.Popen[bytes]":
        self._started += 1
        log_file = self._directory / f"{self._started}.log"
        with log_file.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "service", "work"],
                cwd=self._directory,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        self.running[process] = log_file
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        del self.running[process]
        process.send_signal(signal.SIGKILL)
        process.wait()

    async def stop(self) -> list[int]:
        """The exit codes of those that run. A process that is still starting is waited for."""
        await eventually(self._have_begun)
        for process in self.running:
            process.terminate()
        return [await asyncio.to_thread(process.wait, 60) for process in self.running]

    def _have_begun(self) -> bool:
        return all(_has_begun(log_file) for log_file in self.running.values())

    def log(self) -> str:
        return "".join(file.read_text() for file in self._directory.glob("*.log"))


def _has_begun(log_file: Path) -> bool:
    return '"event":"working"' in log_file.read_text().replace(" ", "")


@asynccontextmanager
async def workers_on(
    clerk: ClerkEmulator, url: str, effects_url: str, directory: Path
) -> AsyncIterator[Workers]:
    workers = Workers(clerk, url, effects_url, directory)
    try:
        yield workers
    finally:
        for process in list(workers.running):
            if process.poll() is None:
                workers.kill(process)

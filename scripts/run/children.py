"""Child processes, and the lines of JSON that they print."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class ChildEnded(Exception):
    """A process ended by itself. `code` is its exit status."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with exit status {code}")
        self.code = code


class Child:
    """A running Python module. `lines` are those of JSON that it printed and nobody followed."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.lines: list[Line] = []
        self._process = process
        self._more = asyncio.Condition()
        self._reading = asyncio.ensure_future(self._read())

    async def line(self, wanted: Callable[[Line], bool], nth: int = 1) -> Line:
        """Wait for the `nth` line that is `wanted`. Raises `ChildEnded` if the process ends."""
        async with self._more:
            while len(found := list(filter(wanted, self.lines))) < nth:
                self.check()
                await self._more.wait()
        return found[nth - 1]

    def check(self) -> None:
        """Raises `ChildEnded` if the process has ended."""
        if self._process.returncode is not None:
            raise ChildEnded(self.name, self._process.returncode)

    async def follow(self) -> AsyncIterator[Line]:
        """Yields every further line, until the process ends. No line is kept any more."""
        self.lines.clear()
        while self.lines or not self._ended:
            async with self._more:
                while not self.lines and not self._ended:
                    await self._more.wait()
            lines, self.lines = self.lines, []
            for line in lines:
                yield line

    async def stop(self) -> int:
        """Send SIGTERM and wait. Returns the exit status."""
        if not self._ended:
            self._process.send_signal(signal.SIGTERM)
        await self._reading
        return await self._process.wait()

    @property
    def _ended(self) -> bool:
        return self._process.returncode is not None

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        async for raw in self._process.stdout:
            if (line := _parsed(raw)) is not None:
                await self._add(line)
        await self._process.wait()
        async with self._more:
            self._more.notify_all()

    async def _add(self, line: Line) -> None:
        async with self._more:
            self.lines.append(line)
            self._more.notify_all()


@asynccontextmanager
async def child(
    name: str, *arguments: str, env: Mapping[str, str], folder: Path
) -> AsyncIterator[Child]:
    """Runs `python -m …` in that folder, with that environment alone, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        env=env,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        # In a session of its own it gets no signal of the terminal: the parent ends them in order.
        start_new_session=True,
    )
    running = Child(name, process)
    try:
        yield running
    finally:
        await running.stop()


def _parsed(raw: bytes) -> Line | None:
    try:
        line = json.loads(raw)
    except ValueError:
        sys.stderr.buffer.write(raw)
        return None
    return line if isinstance(line, dict) else None

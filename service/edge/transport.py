"""The transport that a connection of ours writes to and reads from."""

import asyncio
from typing import Any

MOST_HELD_BACK = 64 * 1024


class OneWrite:
    """A transport that sends what is written in the next turn of the event loop, or when told to.

    The head and the body of an answer come as two writes, and a system call costs more than both.
    Clients that ask at the same time are answered at the same time, so that a client with many
    requests is woken once: that costs more still.

    Reading has two switches, and goes on while both are on: that of uvicorn's flow control, which
    `pause_reading` and `resume_reading` turn, and ours.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0
        self._is_paused = False
        self._is_held = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self.send_now)
        self._written.append(data)
        self._size += len(data)
        if self._size > MOST_HELD_BACK:  # so that the transport can tell the writer to pause
            self.send_now()

    def close(self) -> None:
        self.send_now()
        self._transport.close()

    def write_eof(self) -> None:
        self.send_now()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def send_now(self) -> None:
        written, self._written, self._size = self._written, [], 0
        if written and not self._transport.is_closing():
            self._transport.write(b"".join(written))

    def pause_reading(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._is_paused = False
        if not self._is_held:
            self._transport.resume_reading()

    def hold_reading(self) -> None:
        self._is_held = True
        self._transport.pause_reading()

    def release_reading(self) -> None:
        self._is_held = False
        if not self._is_paused:
            self._transport.resume_reading()

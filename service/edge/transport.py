"""A transport that joins writes, waits for the peer, and can be paused for two reasons."""

import asyncio
from typing import Any

MAX_BUFFERED = 64 * 1024
"""Bytes after which a write is sent at once."""


class OneWrite:
    """A transport that joins all writes of one turn of the event loop into one.

    Answers to one client that are ready at the same time wake that client once.

    Reading goes on unless it is paused because an application is behind (`pause_reading`), or held
    because the parser is (`hold_reading`).
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []
        self._size = 0
        self._is_paused = False
        self._is_held = False
        self._accepted = asyncio.Event()
        self._accepted.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self._written:
            self._loop.call_soon(self.send_now)
        self._written.append(data)
        self._size += len(data)
        if self._size > MAX_BUFFERED:  # so that the transport can pause the writer
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

    @property
    def is_full(self) -> bool:
        """Whether the peer has not accepted all that was written."""
        return not self._accepted.is_set()

    def pause_writing(self) -> None:
        self._accepted.clear()

    def resume_writing(self) -> None:
        self._accepted.set()

    async def drain(self) -> None:
        """Wait until the peer has accepted what was written, or is gone."""
        await self._accepted.wait()

    def pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if not self._is_held:
                self._transport.resume_reading()

    def hold_reading(self) -> None:
        if not self._is_held:
            self._is_held = True
            self._transport.pause_reading()

    def release_reading(self) -> None:
        if self._is_held:
            self._is_held = False
            if not self._is_paused:
                self._transport.resume_reading()

"""A real HTTP server with the answers that a test sets, good or bad."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it arrived."""

    path: str
    query: dict[str, list[str]]
    raw_query: str
    headers: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer: the body in one go, or a byte every `drip` seconds; or silence.

    It comes `after` so many seconds, and not before it is `let`.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    after: float = 0.0
    let: asyncio.Event | None = None
    drip: float = 0.0
    length: int | None = None
    silent: bool = False


def json_reply(value: Any, **how: Any) -> Reply:
    return Reply(body=json.dumps(value).encode(), **how)


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


class HttpServer:
    """Answers with `reply`, or with the next of what `replies` holds.

    Keeps what was `asked`, and counts how many bytes of bodies could be `sent`.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.sent = 0
        self.reply: Reply | Callable[[Asked], Reply] = Reply(status=500)
        self.url = ""
        self._next: list[Reply] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def replies(self, *replies: Reply, then: Reply | None = None) -> None:
        self._next = list(replies)
        if then is not None:
            self.reply = then

    def forget(self) -> None:
        self.asked.clear()
        self.sent = 0
        self.replies(then=Reply(status=500))

    @asynccontextmanager
    async def running(self) -> "AsyncIterator[HttpServer]":
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            await _cancelled(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = _parsed((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        self.asked.append(asked)
        reply = self._next.pop(0) if self._next else self.reply
        await self._send(reply if isinstance(reply, Reply) else reply(asked), reader, writer)

    async def _send(
        self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await asyncio.sleep(reply.after)
        if reply.let:
            await reply.let.wait()
        if reply.silent:
            await reader.read()
            return
        headers = {
            "Date": http_date(datetime.now(UTC)),
            "Content-Length": str(len(reply.body) if reply.length is None else reply.length),
            "Connection": "close",
            **reply.headers,
        }
        lines = [
            f"HTTP/1.1 {reply.status} X",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for piece in _pieces(reply):
            writer.write(piece)
            await writer.drain()
            self.sent += len(piece)
            await asyncio.sleep(reply.drip)


def _parsed(head: str) -> Asked:
    request, *lines = head.split("\r\n")
    target = urlsplit(request.split(" ")[1])
    pairs = (line.split(": ", 1) for line in lines if line)
    return Asked(
        path=target.path,
        query=parse_qs(target.query),
        raw_query=target.query,
        headers={name.lower(): value for name, value in pairs},
    )


def _pieces(reply: Reply) -> Iterable[bytes]:
    size = 1 if reply.drip else 65536
    return (reply.body[start : start + size] for start in range(0, len(reply.body), size))


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

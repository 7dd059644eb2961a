"""Brokers that behave as a test asks: they speak as much of the protocol as a publisher needs."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from pamqp import frame as frames
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange
from pamqp.common import FieldTable
from pamqp.constants import FRAME_HEADER_SIZE

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ENDED = b"-ERR 'User Authentication Expired'\r\n"
"""What nats-server says before it closes a connection."""


@dataclass
class NatsImpostor:
    """Does not demand TLS. After the greetings it says `then` and hangs up, if there is any."""

    url: str = ""
    then: bytes = b""
    heard: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"version": "2.10.0", "headers": true, "max_payload": 1048576}\r\n')
        with suppress(ConnectionError):
            while line := await reader.readline():
                self.heard.append(line)
                if line == b"PING\r\n":
                    writer.write(b"PONG\r\n" + self.then)
                    if self.then:
                        break
        writer.close()


@dataclass
class RabbitImpostor:
    """Acknowledges every message. While it `refuses`, it closes the channel of whoever asks."""

    url: str = ""
    refuses: bool = False
    refused: list[str] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tag = 0
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readexactly(8)  # "AMQP" and the version
            able: FieldTable = {"capabilities": {"publisher_confirms": True}}
            writer.write(frames.marshal(Connection.Start(server_properties=able), 0))
            while True:
                head = await reader.readexactly(FRAME_HEADER_SIZE)
                size = frames.frame_parts(head)[2] or 0
                data = head + await reader.readexactly(size + 1)
                _, channel, frame = frames.unmarshal(data)
                answer = _ANSWERS.get(frame.name)
                if isinstance(frame, Channel.Open):
                    tag = 0
                elif isinstance(frame, ContentBody) and not self.refuses:
                    tag += 1
                    self.taken.append(frame.value)
                    answer = Basic.Ack(delivery_tag=tag)
                elif isinstance(frame, Exchange.Declare | Basic.Publish) and self.refuses:
                    self.refused.append(frame.name)
                    answer = Channel.Close(403, "ACCESS_REFUSED", 0, 0)
                if answer is not None:
                    writer.write(frames.marshal(answer, channel))
        writer.close()


_ANSWERS: dict[str, Frame] = {
    "Connection.StartOk": Connection.Tune(channel_max=10, frame_max=131_072, heartbeat=0),
    "Connection.Open": Connection.OpenOk(),
    "Connection.Close": Connection.CloseOk(),
    "Channel.Open": Channel.OpenOk(),
    "Channel.Close": Channel.CloseOk(),
    "Confirm.Select": Confirm.SelectOk(),
    "Basic.Qos": Basic.QosOk(),
    "Exchange.Declare": Exchange.DeclareOk(),
}


@asynccontextmanager
async def nats_impostor(port: int = 0, then: bytes = b"") -> AsyncIterator[NatsImpostor]:
    impostor = NatsImpostor(then=then)
    async with _listening(impostor.serve, port) as at:
        impostor.url = f"nats://127.0.0.1:{at}"
        yield impostor


@asynccontextmanager
async def rabbit_impostor(tls: ssl.SSLContext | None = None) -> AsyncIterator[RabbitImpostor]:
    impostor = RabbitImpostor()
    async with _listening(impostor.serve, 0, tls) as at:
        impostor.url = f"amqps://localhost:{at}/" if tls else f"amqp://127.0.0.1:{at}/"
        yield impostor


@asynccontextmanager
async def _listening(
    serve: Serve, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]

"""Publishes to a stream of NATS JetStream, by way of FastStream."""

from collections.abc import Mapping
from contextlib import suppress

from faststream.nats import NatsBroker
from nats.aio.client import Client

from adapters.broker import JSON


class Nats:
    """To the subject `topic.key`, with `Nats-Msg-Id`: JetStream drops what it has already.

    One of JetStream's streams must take that subject, or nothing would keep the message. NATS
    Docs, "JetStream Model Deep Dive", "Message Deduplication".
    """

    def __init__(self, url: str, topic: str, seconds: float) -> None:
        self._broker = NatsBroker(url, max_reconnect_attempts=-1, logger=None)
        self._topic = topic
        self._seconds = seconds
        self._client: Client | None = None
        self._stream: str | None = None

    async def start(self) -> None:
        self._client = await self._broker.connect()
        await self._broker.start()
        self._streams = self._client.jetstream()

    async def send(self, message_id: str, key: str, body: bytes, trace: Mapping[str, str]) -> None:
        subject = f"{self._topic}.{key}"
        if self._stream is None:
            self._stream = await self._streams.find_stream_name_by_subject(subject)
        headers = {"Nats-Msg-Id": message_id, "content-type": JSON, **trace}
        try:
            await self._broker.publish(
                body, subject, headers=headers, stream=self._stream, timeout=self._seconds
            )
        except Exception:
            self._stream = None  # it may have been made anew under another name
            raise

    async def close(self) -> None:
        # Not `self._broker.stop()`, which waits for a connection that is down. Nothing is lost:
        # every message was acknowledged.
        if self._client is not None:
            with suppress(OSError):  # if the connection is lost
                await self._client.close()

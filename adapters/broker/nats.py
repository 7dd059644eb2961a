"""Publishes to a stream of NATS JetStream, by way of nats-py."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error

from adapters.broker import JSON


class Unencrypted(Error):
    """The server of a `tls://` address does not demand TLS."""


class Nats:
    """To the subject `topic.key`, with `Nats-Msg-Id`: JetStream drops what it has already.

    One of JetStream's streams must take that subject, or nothing would keep the message. NATS
    Docs, "JetStream Model Deep Dive", "Message Deduplication".
    """

    def __init__(self, url: str, topic: str, seconds: float, authorities: ssl.SSLContext) -> None:
        self._url = url
        self._topic = topic
        self._seconds = seconds
        self._authorities = authorities
        self._client: Client | None = None
        self._stream: str | None = None

    async def connect(self) -> None:
        # A lost connection comes back by itself. One that the server ended with an error does not.
        if self._client is not None and not self._client.is_closed:
            return
        self._client = None
        client = _EncryptedClient() if urlsplit(self._url).scheme == "tls" else Client()
        try:
            await client.connect(
                self._url,
                tls=self._authorities,
                max_reconnect_attempts=-1,
                error_cb=self._report,
            )
        except BaseException:
            with suppress(OSError):
                await client.close()
            raise
        self._client, self._streams = client, client.jetstream()

    async def _report(self, error: Exception) -> None:
        if self._client is None and isinstance(error, Error):
            raise error  # a refusal: `connect` would try again for ever

    async def send(self, message_id: str, key: str, body: bytes, trace: Mapping[str, str]) -> None:
        subject = f"{self._topic}.{key}"
        if self._stream is None:
            self._stream = await self._streams.find_stream_name_by_subject(subject)
        headers = {"Nats-Msg-Id": message_id, "content-type": JSON, **trace}
        try:
            await self._streams.publish(
                subject, body, timeout=self._seconds, stream=self._stream, headers=headers
            )
        except Exception:
            self._stream = None  # it may have been made anew under another name
            raise

    async def close(self) -> None:
        # Nothing is lost by not draining: every message was acknowledged.
        if self._client is not None:
            with suppress(OSError):  # if the connection is lost
                await self._client.close()


class _EncryptedClient(Client):
    """Says nothing to a server that does not demand TLS.

    nats-py would go on in clear text, with the password, if the server's INFO does not demand it
    or somebody on the way has changed it.
    """

    def _connect_command(self) -> bytes:
        if not self._server_info.get("tls_required"):
            raise Unencrypted
        return super()._connect_command()

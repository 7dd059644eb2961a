"""Publishes to a durable topic exchange of RabbitMQ, by way of aio-pika."""

import ssl
from collections.abc import Mapping

from aio_pika import DeliveryMode, ExchangeType, Message, RobustConnection
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.connection import make_url

from adapters.broker import JSON

_TLS_OF_URL = {"cafile", "capath", "cadata", "certfile", "keyfile", "no_verify_ssl"}
"""What an address may say about TLS. aio-pika heeds it only if it is given no context."""


class RabbitMq:
    """To a durable topic exchange, with the key for routing. A queue must be bound to it.

    A message that no queue takes is returned, and so is not delivered. RabbitMQ, "Publisher
    Confirms" and "Publishers", "Unroutable Message Handling".
    """

    def __init__(self, url: str, topic: str, seconds: float, authorities: ssl.SSLContext) -> None:
        self._url = make_url(url)
        self._topic = topic
        self._seconds = seconds
        names_its_own = not _TLS_OF_URL.isdisjoint(self._url.query)
        self._authorities = None if names_its_own else authorities
        self._connection: RobustConnection | None = None
        self._channel: AbstractChannel
        self._exchange: AbstractExchange

    async def connect(self) -> None:
        if self._connection is not None:
            # A lost connection comes back by itself, with its channel. A channel that the server
            # ended, and refused to open again, does not.
            if not (self._connection.connected.is_set() and self._channel.is_closed):
                return
            over, self._connection = self._connection, None
            await over.close()
        # A connection that was not reached tries again for ever, also when nobody refers to it
        # any more: whatever ends this attempt must close it.
        connection = RobustConnection(self._url, ssl_context=self._authorities)
        try:
            await connection.connect(self._seconds)
            channel = connection.channel(on_return_raises=True)
            await channel.initialize()
            self._exchange = await channel.declare_exchange(
                self._topic, ExchangeType.TOPIC, durable=True
            )
        except BaseException:
            await connection.close()
            raise
        self._connection, self._channel = connection, channel

    async def send(self, message_id: str, key: str, body: bytes, trace: Mapping[str, str]) -> None:
        message = Message(
            body,
            message_id=message_id,
            content_type=JSON,
            headers={**trace},
            delivery_mode=DeliveryMode.PERSISTENT,
        )
        await self._exchange.publish(message, key, timeout=self._seconds)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

"""Publishes to a durable topic exchange of RabbitMQ, by way of aio-pika."""

from collections.abc import Mapping

from aio_pika import DeliveryMode, ExchangeType, Message, RobustConnection
from aio_pika.abc import AbstractExchange
from aio_pika.connection import make_url

from adapters.broker import JSON


class RabbitMq:
    """To a durable topic exchange, with the key for routing. A queue must be bound to it.

    A message that no queue takes is returned, and so is not delivered. RabbitMQ, "Publisher
    Confirms" and "Publishers", "Unroutable Message Handling".
    """

    def __init__(self, url: str, topic: str, seconds: float) -> None:
        self._url = make_url(url)
        self._topic = topic
        self._seconds = seconds
        self._connection: RobustConnection | None = None
        self._exchange: AbstractExchange

    async def start(self) -> None:
        # A connection that was not reached tries again for ever, also when nobody refers to it
        # any more: whatever ends this attempt must close it.
        connection = RobustConnection(self._url)
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
        self._connection = connection

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

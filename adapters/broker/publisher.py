"""Publishes messages to a stream of NATS JetStream or an exchange of RabbitMQ.

The broker acknowledges each message before `publish` returns. The message carries its id, by which
a receiver recognizes a repetition, and the key of its user, by which a broker can partition.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from domain.errors import NotTaken

TIMEOUT = 10.0
"""Seconds for one attempt, including the time to connect."""


def check_broker(url: str) -> None:
    """Raises `ValueError`, without the value, if it is not the address of a broker we know."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in _BROKERS:
        raise ValueError(f"a broker is {', '.join(f'{name}://…' for name in _BROKERS)}")


@asynccontextmanager
async def broker_publisher(
    url: str, topic: str, authorities: ssl.SSLContext, seconds: float = TIMEOUT
) -> AsyncIterator["BrokerPublisher"]:
    """`topic` is the subject's first part at NATS, or the exchange at RabbitMQ. Each message may
    take `seconds`.

    The block may begin while the broker is down: the first message connects. Raises `ValueError` as
    `check_broker` does, and `ImportError` if the broker's extra is not installed.
    """
    check_broker(url)
    broker = _BROKERS[urlsplit(url).scheme](url, topic, seconds, authorities)
    try:
        yield BrokerPublisher(broker, seconds)
    finally:
        await broker.close()


class BrokerPublisher:
    """Connects with the first message, and again whenever the connection was lost."""

    def __init__(self, broker: "_Broker", seconds: float) -> None:
        self._broker = broker
        self._seconds = seconds
        self._connecting = asyncio.Lock()

    async def publish(
        self, message_id: str, key: str, body: bytes, traceparent: str | None = None
    ) -> None:
        """Returns once the broker has the message. Raises `NotTaken`."""
        trace = {} if traceparent is None else {"traceparent": traceparent}
        try:
            async with asyncio.timeout(self._seconds):
                async with self._connecting:
                    await self._broker.connect()
                await self._broker.send(message_id, key, body, trace)
        except Exception as error:  # the brokers' libraries share no class of errors
            raise NotTaken(type(error).__name__) from error


class _Broker(Protocol):
    async def connect(self) -> None:
        """Connect, unless there is a connection that serves, or that comes back by itself."""
        ...

    async def send(
        self, message_id: str, key: str, body: bytes, trace: Mapping[str, str]
    ) -> None: ...
    async def close(self) -> None: ...


def _nats(url: str, topic: str, seconds: float, authorities: ssl.SSLContext) -> _Broker:
    from adapters.broker.nats import Nats  # noqa: PLC0415 - only the broker that is used

    return Nats(url, topic, seconds, authorities)


def _rabbitmq(url: str, topic: str, seconds: float, authorities: ssl.SSLContext) -> _Broker:
    from adapters.broker.rabbitmq import RabbitMq  # noqa: PLC0415 - as above

    return RabbitMq(url, topic, seconds, authorities)


_BROKERS: dict[str, Callable[[str, str, float, ssl.SSLContext], _Broker]] = {
    "nats": _nats,
    "tls": _nats,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
}
"""By the scheme of the broker's address."""

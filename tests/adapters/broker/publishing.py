"""A message, and who publishes it."""

import asyncio
import ssl

from adapters.broker.publisher import BrokerPublisher
from domain.errors import NotTaken

AUTHORITIES = ssl.create_default_context()
BODY = '{"type": "user.created", "name": "Zoë"}'.encode()


async def published(publisher: BrokerPublisher) -> None:
    """Repeat as a subscription does."""
    async with asyncio.timeout(30):
        while True:
            try:
                await publisher.publish("nats:2", "user_1", BODY)
            except NotTaken:
                await asyncio.sleep(0.1)
            else:
                return

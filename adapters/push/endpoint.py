"""An endpoint of another service, which receives messages as Standard Webhooks.

Source: Standard Webhooks 1.0, "Webhook headers" and "Signature scheme". The receiver verifies with
`standardwebhooks`, or with `svix`, whose headers have other names and the same signature.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
from standardwebhooks import Webhook

from adapters.push.reachable import PublicAddresses
from domain.errors import NotTaken, ReceiverGone

TIMEOUT = 15.0
"""Seconds for the whole attempt, as Svix gives its receivers."""

_MOST_READ = 64 * 1024
"""Bytes of an answer that are read so that the connection can be used again."""


@asynccontextmanager
async def push_client(
    authorities: ssl.SSLContext, *, allow_private: bool, proxy: str | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """The connections of all endpoints. No cookies are kept, and no answer is unpacked.

    Behind a `proxy`, the proxy resolves the host and decides which addresses are allowed.
    """
    is_guarded = not allow_private and proxy is None
    connector = aiohttp.TCPConnector(
        resolver=PublicAddresses() if is_guarded else None,
        ssl=authorities,
        limit=0,
        limit_per_host=64,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        proxy=proxy,
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        headers={"Content-Type": "application/json", "User-Agent": "clerk-user-sync"},
    ) as session:
        yield session


class PushEndpoint:
    """Posts signed messages. It follows no redirect, so that no other host receives them."""

    def __init__(self, client: aiohttp.ClientSession, url: str, secrets: Sequence[str]) -> None:
        """Each message is signed with every secret, so that a secret can be replaced.

        The receiver accepts a message if one of the signatures is good.
        """
        self._client = client
        self._url = url
        self._signers = [Webhook(secret) for secret in secrets]

    async def post(self, message_id: str, body: bytes, traceparent: str | None = None) -> None:
        """Returns once it is answered with 2xx. Raises `NotTaken`, or `ReceiverGone` for 410.

        `message_id` is the same for each attempt, and the timestamp and signature are not.
        """
        headers = self._signed(message_id, body)
        if traceparent is not None:
            headers["traceparent"] = traceparent
        try:
            async with self._client.post(
                self._url,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                await answer.content.read(_MOST_READ)
                status = answer.status
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            raise NotTaken(type(error).__name__) from error
        if status == HTTPStatus.GONE:
            raise ReceiverGone(f"answered {status}")
        if not 200 <= status < 300:
            raise NotTaken(f"answered {status}")

    def _signed(self, message_id: str, body: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        text = body.decode()
        signatures = [signer.sign(message_id, now, text) for signer in self._signers]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

"""The plain server: raw ASGI, an asyncpg pool, PyJWT and svix, our statements, and nothing else.

It has no limits, log lines, metrics, problem documents or quarantine: only the work itself.
"""

import hashlib
import os
from datetime import UTC, datetime
from typing import Any

import asyncpg
import jwt
import orjson
import uvicorn
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from svix.webhooks import Webhook, WebhookVerificationError

from adapters.postgres import statements
from adapters.postgres.columns import USER_COLUMNS
from adapters.postgres.session import qualified
from adapters.postgres.statements import BATCH_COLUMNS

GET_MANY, SYNC, SYNC_SKIP_LOCKED = (
    qualified(one, None)
    for one in (statements.GET_MANY, statements.SYNC, statements.SYNC_SKIP_LOCKED)
)


class Plain:
    """An ASGI application. The pool is opened by the first event, `lifespan`."""

    def __init__(self) -> None:
        self._key: Any = load_pem_public_key(os.environ["CLERK_JWT_KEY"].encode())
        self._issuer = os.environ["CLERK_ISSUER"]
        self._webhook = Webhook(os.environ["CLERK_WEBHOOK_SIGNING_SECRET"])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"] == "/v1/me":
            await self._me(scope, send)
        elif scope["path"] == "/webhooks/clerk":
            await self._webhooks(scope, receive, send)
        else:
            await _answer(send, 200, b"")

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._pool = await asyncpg.create_pool(
            os.environ["DATABASE_URL"], min_size=10, max_size=10, reset=_nothing
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _me(self, scope: Any, send: Any) -> None:
        token = dict(scope["headers"])[b"authorization"].removeprefix(b"Bearer ")
        claims = jwt.decode(token, self._key, algorithms=["RS256"], issuer=self._issuer)
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(GET_MANY, [claims["sub"]])
        await _answer(send, 200, orjson.dumps(dict(rows[0]), default=str))

    async def _webhooks(self, scope: Any, receive: Any, send: Any) -> None:
        body = await _body(receive)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        try:
            self._webhook.verify(body, headers)
        except WebhookVerificationError:
            await _answer(send, 400, b"")
            return
        written = row(orjson.loads(body), headers["svix-id"], body)
        async with self._pool.acquire() as connection:
            await write(connection, written)
        await _answer(send, 204, b"")


async def write(connection: Any, row: dict[str, Any]) -> None:
    columns = [[row.get(name)] for name in BATCH_COLUMNS]
    # The first statement skips a row that another writer has locked; the second one waits for it.
    if not await connection.fetch(SYNC_SKIP_LOCKED, *columns):
        await connection.fetch(SYNC, *columns)


def row(event: dict[str, Any], svix_id: str, body: bytes) -> dict[str, Any]:
    """The columns of a delivery, translated without a check."""
    data = event["data"]
    emails = [_email(one, data) for one in data["email_addresses"]]
    email = next((one for one in emails if one["primary"]), None)
    phones = {one["id"]: one["phone_number"] for one in data["phone_numbers"]}
    contents = {name: data.get(name) for name in USER_COLUMNS} | {
        "clerk_created_at": _time(data["created_at"]),
        "email": email and email["address"],
        "email_verified": email is not None and email["verified"],
        "phone_number": phones.get(data["primary_phone_number_id"]),
        "public_metadata": orjson.dumps(data["public_metadata"]).decode(),
        "email_addresses": orjson.dumps(emails).decode(),
        "legal_accepted_at": _time(data["legal_accepted_at"]),
        "last_sign_in_at": _time(data["last_sign_in_at"]),
    }
    return contents | {
        "clerk_id": data["id"],
        "clerk_updated_at": _time(data["updated_at"]),
        "observed_at": _time(event["timestamp"]),
        "digest": hashlib.sha256(orjson.dumps(contents)).digest(),
        "source": "webhook",
        "svix_id": svix_id,
        "event_type": event["type"],
        "occurred_at": _time(event["timestamp"]),
        "body": body,
    }


def _email(one: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": one["email_address"],
        "verified": (one["verification"] or {}).get("status") == "verified",
        "primary": one["id"] == data["primary_email_address_id"],
    }


def _time(milliseconds: int | None) -> datetime | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Any, status: int, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _headers(body)})
    await send({"type": "http.response.body", "body": body})


def _headers(body: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]


async def _nothing(_: Any) -> None:
    return None


if __name__ == "__main__":
    uvicorn.run(Plain(), port=int(os.environ["PORT"]), access_log=False, log_level="warning")

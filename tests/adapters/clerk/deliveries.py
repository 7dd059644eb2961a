"""Signed deliveries, as ASGI passes them on."""

import json
from datetime import UTC, datetime

import pytest
from svix.webhooks import Webhook

from adapters.clerk.prove.webhooks import ClerkWebhookVerifier
from domain.errors import InvalidSignature
from domain.instance import Instance
from tests.adapters.clerk.payloads import DATA, webhook_bytes

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"

Headers = list[tuple[bytes, bytes]]


def signature(body: bytes, *, svix_id: str = "msg_1", at: int, secret: str = SECRET) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return Webhook(secret).sign(svix_id, moment, body.decode())


def headers(svix_id: str, timestamp: int | str, signatures: str) -> Headers:
    return [
        (b"host", b"example.com"),
        (b"content-type", b"application/json"),
        (b"svix-id", svix_id.encode("latin-1")),
        (b"svix-timestamp", str(timestamp).encode("latin-1")),
        (b"svix-signature", signatures.encode("latin-1")),
    ]


def signed(body: bytes, *, svix_id: str = "msg_1", at: int, secret: str = SECRET) -> Headers:
    return headers(svix_id, at, signature(body, svix_id=svix_id, at=at, secret=secret))


def replaced(original: Headers, name: bytes, *values: bytes) -> Headers:
    """The headers with these values of the name, none or several, instead of the original one."""
    others = [pair for pair in original if pair[0] != name]
    return [*others, *((name, value) for value in values)]


BODY = webhook_bytes("user.created")
VECTORS = json.loads((DATA / "signatures.json").read_text())

verifier = ClerkWebhookVerifier([SECRET], instance=Instance(None))


def refused(unverified_headers: Headers, body: bytes = BODY) -> bool:
    with pytest.raises(InvalidSignature):
        verifier.verify(unverified_headers, body)
    return True

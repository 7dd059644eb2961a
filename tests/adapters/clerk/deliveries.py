"""Signed deliveries, as ASGI passes them on."""

from datetime import UTC, datetime

from svix.webhooks import Webhook

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

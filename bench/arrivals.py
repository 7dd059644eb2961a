"""The requests, byte for byte, made before the measurement."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from uuid import uuid4

import orjson
from svix.webhooks import Webhook

from bench.works import Work

TOKENS = 200
"""Different sessions in one run: each token is used for a minute."""


REFUSED = 1_000
"""Different deliveries with a bad signature, sent again and again."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The users of the requests. `template` is Clerk's JSON of a user.

    Deliveries begin with the known user number `first`, so that turns do not repeat each other.
    """

    instance_id: str
    secret: str
    template: dict[str, object]
    tokens: tuple[str, ...]
    users: int
    first: int = 0


def user_id(number: int) -> str:
    """The n-th known user."""
    return f"user_{number:027d}"


def arrivals(work: Work, world: World, count: int) -> Iterator[bytes]:
    """Requests for `work`. Fresh deliveries end after `count`, because each is sent once."""
    match work:
        case Work.KNOWN_USER:
            return cycle([_get("/v1/me", token) for token in world.tokens])
        case Work.BAD_SIGNATURE:
            return cycle([_delivery(work, world, number) for number in range(REFUSED)])
        case Work.FRESH_DELIVERY:
            return iter([_delivery(work, world, number) for number in range(count)])


def _get(path: str, token: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nUser-Agent: bench\r\n\r\n"
    ).encode()


def _delivery(work: Work, world: World, number: int) -> bytes:
    """Deliveries: one half of unknown users, the other half updates of known ones."""
    now = datetime.now(tz=UTC)
    known = number % 2 == 0
    subject = (
        user_id((world.first + number) * 7919 % world.users)
        if known
        else f"user_{uuid4().hex[:27]}"
    )
    body = _body(world, subject, "user.updated" if known else "user.created", now, number)
    svix_id = f"msg_{uuid4().hex[:27]}"
    signature = Webhook(world.secret).sign(svix_id, now, body)
    if work is Work.BAD_SIGNATURE:
        signature = f"v1,{'A' * 43}="
    return _post(svix_id, now, signature, body.encode())


def _body(world: World, subject: str, event: str, now: datetime, number: int) -> str:
    milliseconds = int(now.timestamp() * 1000)
    data = {**world.template, "id": subject, "updated_at": milliseconds, "first_name": f"A{number}"}
    return orjson.dumps(
        {
            "data": data,
            "instance_id": world.instance_id,
            "object": "event",
            "timestamp": milliseconds,
            "type": event,
        }
    ).decode()


def _post(svix_id: str, now: datetime, signature: str, body: bytes) -> bytes:
    headers: Iterable[str] = (
        "POST /webhooks/clerk HTTP/1.1",
        "Host: localhost",
        "User-Agent: Svix-Webhooks/1.82",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"svix-id: {svix_id}",
        f"svix-timestamp: {int(now.timestamp())}",
        f"svix-signature: {signature}",
    )
    return "\r\n".join(headers).encode() + b"\r\n\r\n" + body

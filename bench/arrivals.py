"""The requests, byte for byte, made before the measurement."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from secrets import randbelow
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
    """The users of the requests. `template` is Clerk's JSON of a user."""

    instance_id: str
    secret: str
    template: dict[str, object]
    tokens: tuple[str, ...]
    users: int


def user_id(number: int) -> str:
    """The n-th known user."""
    return f"user_{number:027d}"


def arrivals(work: Work, world: World, count: int) -> Iterator[bytes]:
    """Requests for `work`. Fresh deliveries end after `count`, because each is sent once.

    They begin with any known user, so that later turns do not find the same rows in memory.
    """
    first = randbelow(world.users)
    match work:
        case Work.KNOWN_USER:
            return cycle([_get("/v1/me", token) for token in world.tokens])
        case Work.BAD_SIGNATURE:
            return cycle([_delivery(work, world, number) for number in range(REFUSED)])
        case Work.FRESH_DELIVERY:
            return iter([_delivery(work, world, first + number) for number in range(count)])


def _get(path: str, token: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/json\r\nUser-Agent: bench\r\n\r\n"
    ).encode()


def _delivery(work: Work, world: World, number: int) -> bytes:
    """Deliveries: one half of unknown users, the other half updates of known ones."""
    now = datetime.now(tz=UTC)
    known = number % 2 == 0
    subject = user_id(number * 7919 % world.users) if known else f"user_{uuid4().hex[:27]}"
    body = _body(world, subject, "user.updated" if known else "user.created", now)
    svix_id = f"msg_{uuid4().hex[:27]}"
    signature = Webhook(world.secret).sign(svix_id, now, body)
    if work is Work.BAD_SIGNATURE:
        signature = f"v1,{'A' * 43}="
    return _post(svix_id, now, signature, body.encode())


def _body(world: World, subject: str, event: str, now: datetime) -> str:
    """The name never repeats: a user with the contents of an earlier turn would be unchanged."""
    milliseconds = int(now.timestamp() * 1000)
    name = f"A{uuid4().hex[:12]}"
    data = {**world.template, "id": subject, "updated_at": milliseconds, "first_name": name}
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

"""Deliveries that are signed, then changed until they have to be refused."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.adapters.clerk.deliveries import OTHER_SECRET
from tests.adapters.clerk.payloads import (
    DATA,
    webhook_bytes,
)
from tests.running import WEBHOOKS, Service, signature

BODY = webhook_bytes("user.created")
DECOY = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
MEGABYTE = 1024 * 1024
VECTORS = json.loads((DATA / "signatures.json").read_text())

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Signed:
    """A genuine delivery, to be changed."""

    secret: str
    svix_id: str = "msg_1"
    timestamp: str = ""
    body: bytes = BODY

    @property
    def good(self) -> str:
        return signature(self.secret, self.svix_id, self.timestamp, self.body)

    @property
    def headers(self) -> Headers:
        return [
            ("content-type", "application/json"),
            ("svix-id", self.svix_id),
            ("svix-timestamp", self.timestamp),
            ("svix-signature", self.good),
        ]

    def with_header(self, name: str, *values: str) -> Headers:
        """The headers with these values of the name, none or several, instead of the original one."""
        others = [pair for pair in self.headers if pair[0] != name]
        return [*others, *((name, value) for value in values)]


def signed(service: Service, **parts: Any) -> Signed:
    return Signed(service.secret, **{"timestamp": str(int(time.time())), **parts})


async def post(service: Service, headers: Headers, body: bytes) -> Any:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return await service.http.post(WEBHOOKS, content=body, headers=raw)


def later(seconds: int) -> str:
    return str(int(time.time()) + seconds)


MALFORMED: dict[str, Callable[[Signed], Headers]] = {
    "no headers": lambda _: [],
    "no id": lambda s: s.with_header("svix-id"),
    "no timestamp": lambda s: s.with_header("svix-timestamp"),
    "no signature": lambda s: s.with_header("svix-signature"),
    "empty id": lambda s: replace(s, svix_id="").headers,
    "empty timestamp": lambda s: replace(s, timestamp="").headers,
    "empty signature": lambda s: s.with_header("svix-signature", ""),
    "two ids, the genuine one last": lambda s: s.with_header("svix-id", "msg_fake", "msg_1"),
    "two ids, the genuine one first": lambda s: s.with_header("svix-id", "msg_1", "msg_fake"),
    "two timestamps": lambda s: s.with_header("svix-timestamp", s.timestamp, s.timestamp),
    "two signature headers": lambda s: s.with_header("svix-signature", s.good, s.good),
    "only the other family": lambda s: [(n.replace("svix-", "webhook-"), v) for n, v in s.headers],
    "id with a dot": lambda s: replace(s, svix_id="msg.1").headers,
    "id too long": lambda s: replace(s, svix_id="a" * 129).headers,
    "id with a space": lambda s: replace(s, svix_id="msg 1").headers,
    "id with an escape": lambda s: replace(s, svix_id="msg\x1b[31m").headers,
    "id not ASCII": lambda s: replace(s, svix_id="msg_é").headers,
    "timestamp in words": lambda s: replace(s, timestamp="hello").headers,
    "timestamp nan": lambda s: replace(s, timestamp="nan").headers,
    "timestamp inf": lambda s: replace(s, timestamp="inf").headers,
    "timestamp huge": lambda s: replace(s, timestamp="1e400").headers,
    "timestamp a float": lambda s: s.with_header("svix-timestamp", f"{s.timestamp}.5"),
    "timestamp with an exponent": lambda s: s.with_header("svix-timestamp", f"{s.timestamp}e0"),
    "timestamp with a plus": lambda s: s.with_header("svix-timestamp", f"+{s.timestamp}"),
    "timestamp with underscores": lambda s: s.with_header(
        "svix-timestamp", f"{s.timestamp[0]}_{s.timestamp[1:]}"
    ),
    "timestamp with a zero before it": lambda s: s.with_header("svix-timestamp", f"0{s.timestamp}"),
    "timestamp negative": lambda s: replace(s, timestamp=f"-{s.timestamp}").headers,
    "timestamp in milliseconds": lambda s: replace(s, timestamp=f"{s.timestamp}000").headers,
    "timestamp of a hundred thousand digits": lambda s: replace(s, timestamp="9" * 100_000).headers,
    # To the second in `tests/simulation`, where time stands still meanwhile.
    "timestamp over five minutes old": lambda s: replace(s, timestamp=later(-302)).headers,
    "timestamp over five minutes ahead": lambda s: replace(s, timestamp=later(400)).headers,
    "signature without its version": lambda s: s.with_header("svix-signature", s.good[3:]),
    "signature with two commas": lambda s: s.with_header("svix-signature", f"v1,{s.good}"),
    "signature not base64": lambda s: s.with_header("svix-signature", "v1,abc"),
    "signature not ASCII": lambda s: s.with_header("svix-signature", "v1,é"),
    "signature empty behind its version": lambda s: s.with_header("svix-signature", "v1,"),
    "signatures two spaces apart": lambda s: s.with_header("svix-signature", f"{DECOY}  {DECOY}"),
    "signature of version 2": lambda s: s.with_header("svix-signature", f"v2,{s.good[3:]}"),
    "signature asymmetric": lambda s: s.with_header("svix-signature", f"v1a,{s.good[3:]}"),
    "signature in capitals": lambda s: s.with_header("svix-signature", f"V1,{s.good[3:]}"),
    "junk before the signature": lambda s: s.with_header("svix-signature", f"junk {s.good}"),
    "eleven signatures": lambda s: s.with_header("svix-signature", f"{DECOY} " * 10 + s.good),
    "twenty thousand signatures": lambda s: s.with_header("svix-signature", f"{s.good} " * 20_000),
    "signed by a stranger": lambda s: replace(s, secret=OTHER_SECRET).headers,
    "signed for another id": lambda s: s.with_header("svix-id", "msg_2"),
    "signed for another time": lambda s: s.with_header("svix-timestamp", later(-60)),
}


TOUCHED = {
    "one byte": BODY.replace(b"Ada", b"Eve", 1),
    "a line end added": BODY + b"\n",
    "a byte order mark added": b"\xef\xbb\xbf" + BODY,
    "written again": json.dumps(json.loads(BODY)).encode(),
    "emptied": b"",
    "of another delivery": webhook_bytes("user.updated"),
}


KINDS = {
    "compressed": {"content-encoding": "gzip"},
    "compressed twice": {"content-encoding": "gzip, br"},
    "a form": {"content-type": "application/x-www-form-urlencoded"},
    "parts": {"content-type": "multipart/form-data; boundary=x"},
    "text": {"content-type": "text/plain"},
    "no kind": {"content-type": ""},
    "nearly JSON": {"content-type": "application/jsonx"},
}

"""The service on a port, and requests to it byte for byte."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.adapters.clerk.payloads import webhook_bytes
from tests.running import WEBHOOKS, svix_headers
from tests.service.listening import Answer, Listening

BODY = webhook_bytes("user.created")
MEBIBYTE = 1024 * 1024

KEPT = b"GET /healthz HTTP/1.1\r\nHost: service\r\n\r\n"
"""A request after which the connection stays open."""


@dataclass(frozen=True)
class Served:
    """Our application on a port, and the secret its webhooks are signed with."""

    at: Listening
    secret: str

    def post(self, *extra: str, body: bytes = BODY, length: bool = True) -> bytes:
        """The head of a signed delivery; `extra` are header lines."""
        lines = [f"{name}: {value}" for name, value in svix_headers(self.secret, body).items()]
        lengths = [f"Content-Length: {len(body)}"] if length else []
        return head("POST", WEBHOOKS, *lines, *lengths, *extra)


def head(method: str, target: str, *lines: str, host: str = "service") -> bytes:
    start = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    return "\r\n".join([*start, *lines, "", ""]).encode("latin-1")


def chunked(*parts: bytes) -> list[bytes]:
    return [*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]


async def webhooks_handled(served: Served) -> float:
    answer = await served.at.send(head("GET", "/metrics"))
    name = r'clerk_user_sync_http_request_duration_seconds_count\{route="/webhooks/clerk"\} (\S+)'
    found = re.search(name, answer.body.decode())
    return float(found[1]) if found else 0.0


async def handled_more(served: Served, before: float) -> bool:
    return await webhooks_handled(served) > before


async def is_alive(served: Served) -> bool:
    return (await served.at.send(head("GET", "/healthz"))).status == 200


def told(answer: Answer) -> Any:
    assert answer.headers["content-type"] == "application/problem+json"
    return json.loads(answer.body)

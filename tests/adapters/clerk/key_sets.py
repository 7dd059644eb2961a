"""Signing keys that are read from a server in place of Clerk, for tests."""

import pytest

from adapters.clerk.http import HttpClient
from adapters.clerk.prove.signing_keys import JwksKeys
from domain.errors import InvalidSession
from tests.adapters.clerk.clock import Clock
from tests.adapters.clerk.http_server import HttpServer, Reply, json_reply
from tests.adapters.clerk.payloads import INSTANCE
from tests.e2e.processes import eventually

OUTAGES = [
    Reply(status=500),
    Reply(status=404),
    Reply(status=302, headers={"Location": "http://169.254.169.254/"}),
    Reply(body=b"<html>"),
    Reply(body=b""),
    Reply(silent=True),
    json_reply({"keys": []}),
    json_reply({"keys": [{"kty": "RSA", "kid": INSTANCE, "n": "!", "e": "AQAB"}]}),
    json_reply([]),
    Reply(body=b" " * 100_000),
    Reply(body=b"x", headers={"Content-Encoding": "gzip"}),
    Reply(body=b"x", length=9),
]


waits_a_second = pytest.mark.parametrize("deadline", [1.0])


def jwks(clerk: HttpServer, client: HttpClient, clock: Clock, deadline: float) -> JwksKeys:
    url = f"{clerk.url}/.well-known/jwks.json"
    return JwksKeys(HttpClient(transport=client.transport), url, deadline=deadline, clock=clock)


async def is_asked(clerk: HttpServer) -> None:
    await eventually(lambda: len(clerk.asked) > 0)


async def unknown(keys: JwksKeys, kid: str | None = "ins_unknown") -> bool:
    with pytest.raises(InvalidSession):
        await keys.key(kid)
    return True


async def confirmed(keys: JwksKeys, clock: Clock) -> None:
    """The next fetch brings the same set again."""
    assert keys.in_doubt
    clock.pass_seconds(30)
    await keys.load()
    assert not keys.in_doubt

"""Session tokens, good and bad, and the answer to every bad one."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.sessions import new_signing_key
from tests.adapters.clerk.payloads import ADA
from tests.adapters.clerk.tokens import hs256, rs256, segment
from tests.people import new_id
from tests.running import UNAUTHORIZED

Maker = Callable[[ClerkEmulator], str]


@cache
def strangers_key() -> RSAPrivateKey:
    """The key of another Clerk instance."""
    return new_signing_key()


def header(clerk: ClerkEmulator, **changes: Any) -> dict[str, Any]:
    usual = {"alg": "RS256", "typ": "JWT", "cat": "cl_B7d4PD111AAA", "kid": clerk.keys.kid}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def claims(clerk: ClerkEmulator, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {
        "azp": clerk.config.authorized_party,
        "exp": now + 60,
        "iat": now,
        "iss": clerk.config.token_issuer,
        "nbf": now - 10,
        "sid": "sess_1",
        "sub": ADA,
    }
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def token(clerk: ClerkEmulator, **changes: Any) -> str:
    """Validly signed, its claims changed; None removes one."""
    return rs256(clerk.keys.private_key, header(clerk), claims(clerk, **changes))


def titled(clerk: ClerkEmulator, **changes: Any) -> str:
    """Validly signed, its header changed; None removes a member."""
    return rs256(clerk.keys.private_key, header(clerk, **changes), claims(clerk))


def holding(unverified_header: Any, payload: Any) -> Maker:
    """A valid signature over any header and claims; None means the usual ones."""
    return lambda clerk: rs256(
        clerk.keys.private_key,
        header(clerk) if unverified_header is None else unverified_header,
        claims(clerk) if payload is None else payload,
    )


def now(seconds: float) -> int:
    return int(time.time() + seconds)


BAD_TOKENS: dict[str, Maker] = {
    "empty": lambda _: "",
    "words": lambda _: "null",
    "two segments": lambda c: token(c).rpartition(".")[0],
    "four segments": lambda c: token(c) + ".e30",
    "five segments": lambda c: token(c) + ".e30.e30",
    "a second token behind it": lambda c: f"{token(c)} {token(c)}",
    "no signature": lambda c: token(c).rpartition(".")[0] + ".",
    "alg none": lambda c: f"{segment(header(c, alg='none'))}.{segment(claims(c))}.",
    "alg NoNe": lambda c: f"{segment(header(c, alg='NoNe'))}.{segment(claims(c))}.",
    "HS256 with the public key": lambda c: hs256(
        c.keys.public_pem().encode(), header(c, alg="HS256"), claims(c)
    ),
    "RS512": lambda c: titled(c, alg="RS512"),
    "PS256": lambda c: titled(c, alg="PS256"),
    "alg missing": lambda c: titled(c, alg=None),
    "alg a number": lambda c: titled(c, alg=5),
    "alg a list": lambda c: titled(c, alg=["RS256"]),
    "another key": lambda c: rs256(strangers_key(), header(c), claims(c)),
    "header a list": holding([], None),
    "header a text": holding("x", None),
    "header empty": holding(b"", None),
    "header not UTF-8": holding(b"\xff", None),
    "header endlessly deep": holding(b"[" * 5_000, None),
    "payload a list": holding(None, []),
    "payload not JSON": holding(None, b"{"),
    "payload not UTF-8": holding(None, b"\xff"),
    "payload endlessly deep": holding(None, b"[" * 5_000),
    "payload of five thousand digits": holding(None, b'{"exp":' + b"9" * 5_000 + b"}"),
    "over eight kibibytes": lambda c: token(c, padding="x" * 8_000),
    "sub of a megabyte": lambda c: token(c, sub="user_" + "a" * 1_000_000),
    "exp NaN": lambda c: token(c, exp=float("nan")),
    "exp Infinity": lambda c: token(c, exp=float("inf")),
    "exp a text": lambda c: token(c, exp=str(now(60))),
    "exp true": lambda c: token(c, exp=True),
    "exp a fraction": lambda c: token(c, exp=now(60) + 0.5),
    "exp 1e300": lambda c: token(c, exp=1e300),
    "exp without end": lambda c: token(c, exp=10**400),
    "exp beyond a day": lambda c: token(c, exp=now(90_000)),
    "expired": lambda c: token(c, exp=now(-7)),
    "not yet valid": lambda c: token(c, nbf=now(60)),
    "issued in the future": lambda c: token(c, iat=now(60)),
    "exp missing": lambda c: token(c, exp=None),
    "iat missing": lambda c: token(c, iat=None),
    "nbf missing": lambda c: token(c, nbf=None),
    "sub missing": lambda c: token(c, sub=None),
    "sid missing": lambda c: token(c, sid=None),
    "iss missing": lambda c: token(c, iss=None),
    "iss another": lambda c: token(c, iss="https://clerk.example.com"),
    "iss with a suffix": lambda c: token(c, iss=f"{c.config.token_issuer}.evil.com"),
    "iss with a slash": lambda c: token(c, iss=f"{c.config.token_issuer}/"),
    "iss a list": lambda c: token(c, iss=[c.config.token_issuer]),
    "azp not allowed": lambda c: token(c, azp="https://evil.com"),
    "azp a list": lambda c: token(c, azp=[c.config.authorized_party]),
    "azp missing": lambda c: token(c, azp=None),
    "sub a number": lambda c: token(c, sub=5),
    "sub empty": lambda c: token(c, sub=""),
    "sub with NUL": lambda c: token(c, sub="user_a\x00"),
    "sub of SQL": lambda c: token(c, sub="user_'; drop table users"),
    "sub a path": lambda c: token(c, sub="user_../users"),
    "sub of another kind": lambda c: token(c, sub="mch_1"),
    "sid of another kind": lambda c: token(c, sid="5"),
    "crit": lambda c: titled(c, crit=["exp"]),
    "b64 false": lambda c: titled(c, crit=["b64"], b64=False),
    "kid missing": lambda c: titled(c, kid=None),
    "kid a number": lambda c: titled(c, kid=5),
    "kid a list": lambda c: titled(c, kid=[c.keys.kid]),
    "kid a path": lambda c: titled(c, kid="../../etc/passwd"),
    "kid with line ends": lambda c: titled(c, kid="a\r\nb\x1b[31m"),
    "kid endless": lambda c: titled(c, kid="k" * 5_000),
    "kid of another instance": lambda c: titled(c, kid="ins_other"),
    "from a template": lambda c: c.template_token(c.create_session(_person(c))["id"]),
    "for an OAuth client": lambda c: titled(c, typ="at+jwt", cat=None),
    "for a machine": lambda c: titled(c, cat="cl_B7d4PD333AAA"),
    "an API key": lambda c: f"ak_{token(c)}",
    "an opaque machine token": lambda _: "m2m_0123456789abcdef",
    "the secret key": lambda c: c.config.secret_key,
    "act no object": lambda c: token(c, act="user_x"),
}


def _person(clerk: ClerkEmulator) -> str:
    return str(clerk.create_user(email_address=[f"{new_id()}@example.com"])["id"])


def is_unauthorized(answer: httpx.Response) -> bool:
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/problem+json"
    return True

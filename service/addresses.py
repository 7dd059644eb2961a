"""Addresses in settings: normalised if their meaning is certain, and otherwise refused.

No error shows the address, which may be a secret that was pasted into the wrong setting.
"""

import base64
import binascii
import re
from urllib.parse import SplitResult, urlsplit

from domain.loopback import is_loopback

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DISCOVERY = ("/.well-known/jwks.json", "/.well-known/openid-configuration")


def frontend_api(publishable_key: str) -> str:
    """The host in a publishable key: `pk_test_` or `pk_live_` and base64 of the host and `$`.

    Raises `ValueError`. Source: `@clerk/shared` keys.ts.
    """
    match = re.fullmatch(r"pk_(test|live)_([A-Za-z0-9+/=_-]+)", publishable_key)
    host = _decoded(match.group(2)) if match else ""
    if not re.fullmatch(r"[A-Za-z0-9.-]+\.[A-Za-z0-9-]+(:\d+)?\$", host):
        raise ValueError("a Clerk publishable key starts with pk_test_ or pk_live_")
    return host[:-1]


def trusted_address(value: str) -> str:
    """An address that secrets and personal data may be sent to. Raises `ValueError`."""
    parts = _parts(value)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and is_loopback(parts.hostname or "")
    ):
        raise ValueError("must be https:// (plain http only to this machine)")
    if parts.fragment:
        raise ValueError("must have nothing behind a #")
    path = parts.path.rstrip("/")
    return f"{_origin(parts)}{path}" + (f"?{parts.query}" if parts.query else "")


def api_address(value: str) -> str:
    """The address of a Backend API, without its `/v1`. Raises `ValueError`."""
    return _without_query(trusted_address(value)).removesuffix("/v1")


def issuer_address(value: str) -> str:
    """The address of a Frontend API, without the path of its signing keys. Raises `ValueError`."""
    issuer = _without_query(trusted_address(value))
    for path in _DISCOVERY:
        issuer = issuer.removesuffix(path)
    return issuer


def origin(value: str) -> str:
    """An origin as browsers send it (RFC 6454 §6.1): in lower case, without a default port or path.

    Raises `ValueError`.
    """
    try:
        parts = _parts(value)
    except ValueError:
        raise ValueError("give https://host or http://host:port, comma-separated") from None
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise ValueError("give https://host or http://host:port without a path, comma-separated")
    return _origin(parts)


def _parts(value: str) -> SplitResult:
    """The parts of an absolute address. Raises `ValueError`."""
    try:
        parts = urlsplit(value)
        host = _host(parts)
        _ = parts.port  # raises ValueError for what is no port
        usable = value.isprintable() and not re.search(r"[\s\\]", value)
    except (ValueError, UnicodeError):
        usable = False
    if not usable or not host or not parts.scheme:
        raise ValueError("must be https:// (plain http only to this machine)") from None
    if parts.username is not None:
        raise ValueError("must have no credentials in it")
    return parts


def _host(parts: SplitResult) -> str:
    """The host in ASCII. Raises `ValueError` if it is not a host."""
    host = parts.hostname or ""
    if ":" in host:
        return f"[{host}]"
    # Python's codec only fails for an empty label, which the pattern refuses too.
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    if not _HOST.fullmatch(name):
        raise ValueError("not a host")
    return name


def _origin(parts: SplitResult) -> str:
    usual = parts.port in (None, _DEFAULT_PORTS.get(parts.scheme))
    return f"{parts.scheme}://{_host(parts)}" + ("" if usual else f":{parts.port}")


def _without_query(address: str) -> str:
    if "?" in address:
        raise ValueError("must have nothing behind a ?")
    return address


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("ascii")
    except (binascii.Error, UnicodeError):
        return ""

"""Proxies and certificate authorities for connections to other machines.

httpx would read them from the environment. But it fails with a traceback if they are wrong, uses a
proxy for this machine's own addresses, and does not support networks in `NO_PROXY`.
"""

import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import httpx

from adapters.clerk.proxied import ProxiedTransport
from domain.loopback import is_loopback

_MOST = 32
"""Connections at a time."""

_SCHEME = re.compile(r"[a-z0-9+]+://")
_MEANT = {"socks://": "socks5://"}
"""Schemes that GNOME writes, and their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as curl reads them.

    An entry of `none` is `*`, an address, a network (CIDR), or a name with all its subdomains,
    optionally with a port.
    """

    http: str | None = None
    https: str | None = None
    every: str | None = None
    none: str = ""

    def of(self, url: str) -> str | None:
        """The proxy for this address; always None for this machine's own addresses."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (80 if parts.scheme == "http" else 443)
        if is_loopback(host) or any(_names(one, host, port) for one in self.none.split(",")):
            return None
        proxy = (self.http if parts.scheme == "http" else self.https) or self.every
        return None if proxy is None else read_proxy(proxy)


def read_proxy(value: str) -> str:
    """The address of a proxy, for httpx. Raises `ValueError`, without showing it."""
    given = value.strip()
    address = given if _SCHEME.match(given.lower()) else f"http://{given}"
    for written, meant in _MEANT.items():
        if address.lower().startswith(written):
            address = meant + address[len(written) :]
    try:
        # httpx accepts a port of 99999 and half an IPv6 address, and fails at the first use.
        parts = urlsplit(address)
        usable = bool(parts.hostname) and parts.port != 0 and not re.search(r"[\s\\]", address)
        httpx.Proxy(address)
    except (ValueError, httpx.InvalidURL, UnicodeError):
        usable = False
    if not usable:
        raise ValueError("give http://host:port, https://… or socks5://…; escape what is special")
    return address


@cache
def read_authorities(file: str | None, directory: str | None) -> ssl.SSLContext:
    """The certificate authorities of `SSL_CERT_FILE`, else `SSL_CERT_DIR`, else Mozilla's.

    Cached for all clients: reading them takes as long as opening the store. Raises `OSError`, of
    which `ssl.SSLError` is a subclass.
    """
    if file is None and directory is None:
        return httpx.create_ssl_context(trust_env=False)
    # Not `create_default_context`, which also writes keys to the file that SSLKEYLOGFILE names.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=file, capath=None if file else directory)
    return context


def transport_to(verify: ssl.SSLContext, proxy: str | None = None) -> httpx.AsyncBaseTransport:
    """Connections that trust `verify`, by a proxy if there is one. The environment is not read."""
    if proxy is not None:
        return ProxiedTransport(verify, proxy, most=_MOST)
    limits = httpx.Limits(max_connections=_MOST, max_keepalive_connections=16)
    with suppress(ModuleNotFoundError):  # aiohttp, of the extra `push`
        from adapters.clerk.direct import DirectTransport  # noqa: PLC0415

        return DirectTransport(verify, limits)
    return httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)


def _names(entry: str, host: str, port: int) -> bool:
    """Whether an entry of `NO_PROXY` is about this host."""
    entry = entry.strip().lower()
    if entry in ("", "*"):
        return entry == "*"
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of them is a name, or the entry has a port
    wanted, colon, its_port = entry.rpartition(":")
    if colon and its_port.isdecimal():
        if int(its_port) != port:
            return False
        entry = wanted
    name = entry.partition("://")[2] or entry
    name = name.strip("[]").removeprefix("*").strip(".")
    bare = host.strip(".")
    return bool(name) and (bare == name or bare.endswith(f".{name}"))

"""Which hosts may be posted to. Whoever names an endpoint must not reach our own network with it.

A name is judged by the addresses that the connection is then made to, so that no second answer of
the name server comes between.
"""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""


def is_public(address: Address) -> bool:
    """Whether it belongs to the internet, whatever form of IPv6 it is wrapped in."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast


def literal(host: str) -> Address | None:
    """The address that a host of a URL is written as, if it is one."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


class PublicAddresses(AbstractResolver):
    """Resolves a name to its public addresses. Raises `OSError` where it has none."""

    def __init__(self, resolve: AbstractResolver | None = None) -> None:
        self._resolver = resolve or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(ip_address(one["host"].partition("%")[0]))]
        if not public:
            raise OSError(None, "the host has no public address")
        return public

    async def close(self) -> None:
        await self._resolver.close()


def _inside(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)

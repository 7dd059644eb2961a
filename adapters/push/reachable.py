"""The addresses that a connection is made to.

The addresses that are checked are the ones that are connected to: the name is not resolved again in
between, when its server could give another answer.
"""

import socket
from ipaddress import ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from adapters.push.address import is_public


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

"""No name or address of an endpoint gives access to our own network."""

import socket
import ssl
from ipaddress import ip_address

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.push.address import is_public
from adapters.push.endpoint import PushEndpoint, push_client
from adapters.push.reachable import PublicAddresses
from domain.errors import NotTaken
from tests.adapters.push.receiver import BODY, NEW, receiving


class Names(AbstractResolver):
    """A name server that answers with these addresses."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in self._hosts
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::",
    ],
)
def test_private_addresses_are_none_in_any_form(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


async def test_only_the_public_addresses_of_a_name_are_connected_to() -> None:
    found = await PublicAddresses(Names("10.0.0.1", "8.8.8.8", "fe80::1%eth0")).resolve("both.test")
    assert [one["host"] for one in found] == ["8.8.8.8"]


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f000001"])
async def test_a_name_or_a_number_of_this_machine_is_not_reached(host: str) -> None:
    async with (
        receiving() as receiver,
        push_client(ssl.create_default_context(), allow_private=False) as client,
    ):
        url = receiver.url.replace("127.0.0.1", host)
        with pytest.raises(NotTaken):
            await PushEndpoint(client, url, [NEW]).post("crm:7", BODY)
        assert receiver.got == []


async def test_this_machine_is_reached_where_private_addresses_are_allowed() -> None:
    async with (
        receiving() as receiver,
        push_client(ssl.create_default_context(), allow_private=True) as client,
    ):
        url = receiver.url.replace("127.0.0.1", "localhost")
        await PushEndpoint(client, url, [NEW]).post("crm:7", BODY)
        assert len(receiver.got) == 1

"""The sockets are bound before anything is opened, and their errors have a text."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.edge.listening import CannotListen, listening_sockets
from tests.service.given_settings import ENVIRONMENT, run


def addresses(host: str) -> list[str]:
    with ExitStack() as opened:
        return [opened.enter_context(one).getsockname()[0] for one in listening_sockets(host, 0)]


@pytest.mark.parametrize(
    ("host", "bound"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("[::1]", "::1"),
    ],
)
def test_an_address_is_bound(host: str, bound: str) -> None:
    assert addresses(host) == [bound]


def test_a_name_is_bound_at_each_of_its_addresses() -> None:
    assert set(addresses("localhost")) & {"127.0.0.1", "::1"}


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(CannotListen, match="HOST: ") as caught:
        listening_sockets(host, 0)
    assert not caught.value.is_taken


@pytest.mark.parametrize("host", ["cAnArY.invalid", "http://cAnArY", "cAnArY b", "c" * 300])
def test_a_name_without_an_address_is_refused_and_not_shown(host: str) -> None:
    with pytest.raises(CannotListen, match="HOST: ") as caught:
        listening_sockets(host, 0)
    assert "cAnArY" not in str(caught.value)


def test_what_was_bound_is_closed_when_another_address_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"PORT: {port} is taken") as caught:
            listening_sockets("localhost", port)
        assert caught.value.is_taken


async def test_a_taken_port_exits_with_71_before_the_store_is_opened(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ended = await asyncio.to_thread(run, cwd=tmp_path, PORT=port, **ENVIRONMENT)
    assert (ended.returncode, ended.stdout) == (71, "")
    assert ended.stderr == f"The port cannot be opened: PORT: {port} is taken by another process\n"
    assert not (tmp_path / ".data").exists(), "an embedded database was made"


async def test_a_host_of_another_machine_exits_with_78(tmp_path: Path) -> None:
    ended = await asyncio.to_thread(run, cwd=tmp_path, HOST="192.0.2.1", **ENVIRONMENT)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == "The port cannot be opened: HOST: this machine has no such address\n"

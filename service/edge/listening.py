"""The sockets to listen on, opened first, so that their errors are reported before all others."""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack

_NOT_OURS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class CannotListen(Exception):
    """The socket cannot be opened: another process has it (`is_taken`), or a setting is wrong."""

    def __init__(self, words: str, *, is_taken: bool = False) -> None:
        super().__init__(words)
        self.is_taken = is_taken


def listening_sockets(host: str, port: int, setting: str = "PORT") -> Sequence[socket.socket]:
    """One socket for each address of `host` on this machine. Early connections wait for the server.

    `setting` is the name of the port's setting. The caller closes them. Raises `CannotListen`.
    """
    with ExitStack() as opened:
        listening: list[socket.socket] = []
        for family, kind, protocol, address in _addresses(host, port):
            try:
                one = opened.enter_context(socket.socket(family, kind, protocol))
                _listen(one, address)
            except OSError as error:
                if error.errno not in _NOT_OURS:
                    raise _in_words(error, f"{setting}: {port}") from None
            else:
                listening.append(one)
        if not listening:
            raise CannotListen("HOST: this machine has no such address")
        opened.pop_all()
    return listening


def _addresses(host: str, port: int) -> Sequence[tuple[int, int, int, tuple[object, ...]]]:
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError, ValueError):
        raise CannotListen("HOST: this name has no address; give an address or a name") from None
    return list(
        dict.fromkeys((family, kind, number, address) for family, kind, number, _, address in found)
    )


def _listen(one: socket.socket, address: tuple[object, ...]) -> None:
    if os.name == "posix":  # connections of a previous process must not block the port
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family == socket.AF_INET6:  # IPv4 addresses of the same name have their own socket
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(address)
    one.listen()


def _in_words(error: OSError, setting: str) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return CannotListen(f"{setting} is taken by another process", is_taken=True)
    if error.errno == errno.EACCES:
        return CannotListen(f"{setting}: this account has no right to open it")
    return CannotListen(f"{setting} cannot be opened: {error.strerror}")

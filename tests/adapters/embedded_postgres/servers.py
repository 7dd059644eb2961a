"""Servers that another process owns, and questions to them."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

PROJECT = Path(__file__).parents[3]

# Starts a server, says where, and waits. Arguments: user id to become, data directory or nothing.
OWNER = """
import os, signal, sys, time
from pathlib import Path
from adapters.embedded_postgres import EmbeddedPostgres

def die_when_it_is_about_to_move_the_cluster(event, arguments):
    if event == "os.rename" and Path(arguments[0]).name == "cluster.new":
        os.kill(os.getpid(), signal.SIGKILL)

if "DIES_EARLY" in os.environ:
    sys.addaudithook(die_when_it_is_about_to_move_the_cluster)
user, data_dir = int(sys.argv[1]), sys.argv[2]
if user != os.geteuid():
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
server = EmbeddedPostgres(Path(data_dir) if data_dir else None).start()
print(server.url(), *server._temporary, flush=True)
time.sleep(600)
"""


def ask(url: str, question: str) -> Any:
    async def answer() -> Any:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return await connection.fetchval(question)
        finally:
            await connection.close()

    return asyncio.run(answer())


def answers(url: str) -> bool:
    try:
        return bool(ask(url, "SELECT true"))
    except (OSError, asyncpg.PostgresError):
        return False


def listens(url: str) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port)).close()
    except ConnectionRefusedError:
        return False
    return True


def becomes_true(condition: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + 30
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.02)
    return condition()


def start_python(
    script: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
    )


@dataclass
class Owner:
    """Another process with its own server."""

    process: subprocess.Popen[str]
    url: str
    temporary: list[Path]


class Owners:
    """Starts owners, and ends them after the test."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[str]] = []

    def start(
        self, *, user: int = os.geteuid(), data_dir: Path | str = "", **environment: str
    ) -> Owner:
        process = self.begin(user=user, data_dir=data_dir, **environment)
        assert process.stdout
        url, *temporary = process.stdout.readline().split()
        return Owner(process, url, [Path(directory) for directory in temporary])

    def begin(
        self, *, user: int = os.geteuid(), data_dir: Path | str = "", **environment: str
    ) -> subprocess.Popen[str]:
        process = start_python(OWNER, str(user), str(data_dir), environment=environment)
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

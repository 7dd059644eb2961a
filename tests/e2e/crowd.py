"""Many `GET /v1/me` at once, each on a connection of its own."""

import asyncio
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import orjson

from tests.e2e.processes import ServiceProcess
from tests.running import bearer


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` includes connecting."""

    status: int
    document: dict[str, Any]
    seconds: float


async def ask_all(questions: Iterable[tuple[ServiceProcess, str]], at_once: int) -> list[Answer]:
    """Ask each service with its token, `at_once` at a time. The answers keep the order."""
    loop = asyncio.get_running_loop()
    # Threads: a blocking client takes a fifth of the CPU time of an asynchronous one.
    with ThreadPoolExecutor(at_once) as threads:
        asked = [loop.run_in_executor(threads, _ask, *question) for question in questions]
        return await asyncio.gather(*asked)


def _ask(service: ServiceProcess, token: str) -> Answer:
    began = time.monotonic()
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.request("GET", "/v1/me", headers=bearer(token))
        answer = connection.getresponse()
        return Answer(answer.status, orjson.loads(answer.read()), time.monotonic() - began)

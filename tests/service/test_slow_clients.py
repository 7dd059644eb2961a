"""Clients that send too slowly are cut off, and slow ones in time are served."""

import time
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request, Response

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.edge.budget import Budget
from service.errors import answer_everything
from service.routes.webhooks import json_bytes
from tests.running import REFUSED, WEBHOOKS, problem, settings_for
from tests.service.listening import Listening, listening
from tests.service.served import KEPT, head, told

IN_A_HURRY = 0.3
PATIENT = 10.0
"""Seconds that a head, or a body, may take: less than ours, and more than a machine can stall."""


@pytest.fixture
async def reading(clerk: ClerkEmulator) -> AsyncIterator[Listening]:
    """An application that reads a body as ours does, within so many seconds."""
    app = FastAPI()
    answer_everything(app)

    @app.post("/{seconds}")
    async def read(request: Request, seconds: float) -> Response:
        return Response(await json_bytes(request, max_seconds=seconds))

    settings = settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere")
    async with listening(app, settings) as at:
        yield at


@pytest.mark.parametrize(
    "chunks", [[], [b"{"], [b" "] * 500], ids=["silent", "begun and silent", "dripping"]
)
async def test_too_slow_a_body_is_cut_off(reading: Listening, chunks: list[bytes]) -> None:
    """At any speed, for 25 seconds."""
    asked = head("POST", f"/{IN_A_HURRY}", "Content-Length: 1000")
    started = time.monotonic()
    answer = await reading.send(asked, *chunks, pause=0.05)
    assert told(answer) == problem(408, "body_too_slow")
    assert IN_A_HURRY <= time.monotonic() - started < 10


async def test_a_slow_body_in_time_is_read(reading: Listening) -> None:
    asked = head("POST", f"/{PATIENT}", "Content-Length: 4")
    answer = await reading.send(asked, *[b"1"] * 4, pause=0.02)
    assert (answer.status, answer.body) == (200, b"1111")


HURRIED = Budget(head_seconds=1.0, body_seconds=3.0, write_seconds=1.0, linger_seconds=0.5)


@pytest.fixture
async def in_a_hurry(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Listening]:
    settings = settings_for(clerk, store_url)
    async with listening(create_app(settings), settings, HURRIED) as at:
        yield at


@pytest.fixture
async def patient(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Listening]:
    settings = settings_for(clerk, store_url)
    async with listening(create_app(settings), settings, Budget(head_seconds=PATIENT)) as at:
        yield at


SLOW_HEADS: dict[str, list[bytes]] = {
    "nothing at all": [],
    "half an address": [b"GET /hea"],
    "half a header": [b"GET /healthz HTTP/1.1\r\nHost: ser"],
    "a header at a time": [
        b"GET /healthz HTTP/1.1\r\n",
        *(b"X-%d: x\r\n" % n for n in range(90)),
    ],
    "an empty line after a request": [KEPT, b"\r\n"],
    "half a second request": [KEPT, b"GET /hea"],
}


@pytest.mark.parametrize("kind", SLOW_HEADS)
async def test_too_slow_a_head_is_cut_off(in_a_hurry: Listening, kind: str) -> None:
    """Also one that would take 18 seconds, a header at a time."""
    started = time.monotonic()
    answer = await in_a_hurry.send(*SLOW_HEADS[kind], pause=0.2)
    assert answer.raw.count(b"HTTP/1.1 200") == SLOW_HEADS[kind].count(KEPT)
    assert HURRIED.head_seconds * 0.9 <= time.monotonic() - started < 10
    assert (await in_a_hurry.send(head("GET", "/healthz"))).status == 200


async def test_a_slow_head_in_time_is_read(patient: Listening) -> None:
    asked = head("GET", "/healthz")
    assert (await patient.send(asked[:20], asked[20:], pause=0.1)).status == 200


async def test_a_body_may_take_longer_than_a_head(in_a_hurry: Listening) -> None:
    asked = head("POST", WEBHOOKS, "Content-Length: 10")
    answer = await in_a_hurry.send(asked, *[b"1"] * 10, pause=0.15)
    assert (answer.status, told(answer)) == (400, REFUSED)

"""Every error is answered with a problem document (RFC 9457) that shows nothing else."""

import json
from collections.abc import AsyncIterator
from io import StringIO
from typing import Annotated, Any

import pytest
from fastapi import HTTPException, Query
from pydantic import BaseModel

from domain.errors import SyncError
from scripts.clerk_emulator import ClerkEmulator
from service.errors import STATUSES, answer, status_of
from tests.named_errors import every, every_of_the_domain
from tests.postgres_server import TemporaryStore
from tests.running import Service, problem, running_service

CANARY = "canary-9f3c"


class Order(BaseModel):
    amount: int


async def failing(password: str = CANARY) -> None:
    raise LookupError(f"no such {password}")


async def numbered(number: int, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> int:
    return number + limit


async def ordered(order: Order) -> int:
    return order.amount


async def raising(status: int) -> None:
    raise HTTPException(status, detail=CANARY, headers={"X-Hint": "kept"})


@pytest.fixture(scope="module")
async def faulty(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Service]:
    """Our application with routes that fail, as the real ones must not."""
    async with running_service(shared_clerk, lasting_store.url, log=StringIO()) as service:
        service.app.get("/failing")(failing)
        service.app.get("/numbered/{number}")(numbered)
        service.app.post("/ordered")(ordered)
        service.app.get("/raising/{status}")(raising)
        yield service


async def test_an_unhandled_error_is_answered_without_its_cause(faulty: Service) -> None:
    answer = await faulty.http.get("/failing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-request-id"]
    assert answer.json() == problem(500, "internal_error")


async def test_after_an_unforeseen_error_the_service_goes_on(faulty: Service) -> None:
    await faulty.http.get("/failing")
    assert (await faulty.http.get("/numbered/1")).text == "11"


INVALID = [
    ("GET", "/numbered/canary-9f3c", {}),
    ("GET", "/numbered/1", {"params": {"limit": 0}}),
    ("GET", "/numbered/1", {"params": {"limit": -1}}),
    ("GET", "/numbered/1", {"params": {"limit": 10**9}}),
    ("GET", "/numbered/1", {"params": {"limit": f"{CANARY}'; drop table users"}}),
    ("POST", "/ordered", {"json": {"amount": CANARY}}),
    ("POST", "/ordered", {"json": [CANARY]}),
    ("POST", "/ordered", {"content": CANARY.encode()}),
]


@pytest.mark.parametrize(("method", "path", "asked"), INVALID)
async def test_what_is_invalid_is_not_echoed(
    faulty: Service, method: str, path: str, asked: dict[str, Any]
) -> None:
    answer = await faulty.http.request(method, path, **asked)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == problem(422, "request_invalid")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"),
        (404, "not_found"),
        (409, "conflict"),
        (418, "im_a_teapot"),
        (503, "service_unavailable"),
    ],
)
async def test_the_frameworks_own_errors_take_the_same_form(
    faulty: Service, status: int, code: str
) -> None:
    answer = await faulty.http.get(f"/raising/{status}")
    assert answer.json() == problem(status, code)
    assert answer.headers["x-hint"] == "kept"


@pytest.mark.parametrize("kind", every_of_the_domain())
async def test_every_error_has_an_answer(kind: type[SyncError]) -> None:
    answered = answer({"type": "http"}, kind("not for the caller"))
    assert (answered.status_code, answered.media_type) == (
        status_of(kind),
        "application/problem+json",
    )
    assert json.loads(bytes(answered.body)) == problem(status_of(kind), kind.code)
    assert ("retry-after" in answered.headers) == (status_of(kind) == 503)


@pytest.mark.parametrize("kind", every())
def test_every_error_of_an_adapter_has_a_status(kind: type[SyncError]) -> None:
    assert 400 <= status_of(kind) < 600


def test_no_two_errors_of_the_table_share_a_code() -> None:
    assert len({error.code for error in STATUSES}) == len(STATUSES)

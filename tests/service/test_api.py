"""The API for clients: its routes, and what no header can change."""

import re
import sys
from importlib.metadata import version
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import UNAUTHORIZED, WEBHOOKS, Service, bearer, problem, running_service
from tests.service.tables import count_rows

PROTECTED = ["/v1/me", "/v1/session"]
HEALTH = ["/healthz", "/readyz"]

NOT_FOUND = problem(404, "not_found")
NOT_ALLOWED = problem(405, "method_not_allowed")


@pytest.fixture
async def token(service: Service, clerk: ClerkEmulator, sql: Sql) -> str:
    await service.deliver(webhook_bytes("user.created"))
    return clerk.session_token(ADA)


@pytest.mark.parametrize("path", PROTECTED)
async def test_authentication_comes_before_everything_else(service: Service, path: str) -> None:
    answer = await service.http.request(
        "GET", path, params={"limit": "abc"}, content=b"{", headers={"content-type": "text/x"}
    )
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)


PATHS = [
    "/",
    "/nope",
    "/v1",
    "/v1/users/user_1",
    "/v1/me/",
    "/v1/me/..",
    "/v1//me",
    "/V1/ME",
    "/v1/me%00",
    "/v1/me%2f",
    "/v1/%2e%2e/v1/me",
    "/v1/%F0%9F%9A%80",
    "/v1/" + "a" * 10_000,
    "/admin",
    "/console",
    "/docs",
    "/redoc",
    "/openapi.json",
    "/webhooks",
    "/webhooks/clerk//",
    "/webhooks/stripe",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:30])
async def test_what_is_not_there_is_not_found(service: Service, path: str) -> None:
    answer = await service.http.get(path)
    assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


@pytest.mark.parametrize("path", [*PROTECTED, "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
async def test_another_method_is_a_405_with_allow(service: Service, method: str, path: str) -> None:
    answer = await service.http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert answer.content == b"" or answer.json() == NOT_ALLOWED


@pytest.mark.parametrize("path", HEALTH)
async def test_health_may_be_asked_by_head(service: Service, path: str) -> None:
    answer = await service.http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", HEALTH)
@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
async def test_health_may_not_be_asked_otherwise(service: Service, method: str, path: str) -> None:
    answer = await service.http.request(method, path)
    assert (answer.status_code, answer.json()) == (405, NOT_ALLOWED)
    assert sorted(answer.headers["allow"].split(", ")) == ["GET", "HEAD"]


IGNORED: dict[str, dict[str, Any]] = {
    "a body": {"content": b'{"clerk_id": "user_admin", "banned": true}'},
    "no JSON": {"content": b"{", "headers": {"content-type": "application/json"}},
    "a query": {"params": {"id": "user_admin", "limit": "-1", "q": "' or 1=1"}},
    "a precondition": {"headers": {"if-none-match": "*", "if-modified-since": "x"}},
    "a range": {"headers": {"range": "bytes=0-0"}},
    "another method": {"headers": {"x-http-method-override": "DELETE"}},
    "another address": {"headers": {"x-original-url": "/metrics", "x-rewrite-url": "/metrics"}},
    "another user": {"headers": {"x-user-id": "user_admin", "x-forwarded-user": "admin"}},
    "another kind": {"headers": {"accept": "text/html"}},
    "another host": {"headers": {"host": "a/?b"}},
}


@pytest.mark.parametrize("what", IGNORED)
async def test_it_is_ignored(service: Service, token: str, what: str) -> None:
    asked = IGNORED[what]
    headers = {**asked.get("headers", {}), **bearer(token)}
    answer = await service.http.request("GET", "/v1/me", **{**asked, "headers": headers})
    assert answer.status_code == 200
    assert (answer.json()["clerk_id"], answer.json()["banned"]) == (ADA, False)


@pytest.mark.parametrize("host", ["a/?b", "evil.example", "localhost:1", "[::1", ""])
async def test_no_host_opens_what_is_protected(service: Service, host: str) -> None:
    headers = {"host": host}
    for path in PROTECTED:
        assert (await service.http.get(path, headers=headers)).json() == UNAUTHORIZED
    assert (await service.http.post(WEBHOOKS, headers=headers)).status_code == 400


async def test_two_users_see_themselves(service: Service, clerk: ClerkEmulator, sql: Sql) -> None:
    for _ in range(2):
        person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
        answer = await service.me(clerk.session_token(person["id"]))
        assert answer.json()["clerk_id"] == person["id"]
    assert await count_rows(sql) == (2, 2)


@pytest.mark.parametrize("path", [*PROTECTED, *HEALTH, "/nope", WEBHOOKS])
async def test_no_other_origin_is_let_in(service: Service, path: str) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "GET"}
    for method in ("GET", "OPTIONS"):
        answer = await service.http.request(method, path, headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", PROTECTED)
async def test_nothing_of_a_person_is_cached(service: Service, token: str, path: str) -> None:
    for headers in (bearer(token), {}):
        answer = await service.http.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"


class TestRequestId:
    @pytest.mark.parametrize("given", ["a", "7f-4.B_2", "x" * 64])
    async def test_that_is_harmless_is_echoed(self, service: Service, given: str) -> None:
        answer = await service.http.get("/healthz", headers={"x-request-id": given})
        assert answer.headers["x-request-id"] == given

    @pytest.mark.parametrize(
        "given", ["", " ", "x" * 65, "x" * 10_000, "a b", "a\r\nb: c", "\x1b[31m", "é", "<b>", '"']
    )
    async def test_that_is_not_is_replaced(self, service: Service, given: str) -> None:
        headers = [(b"x-request-id", given.encode("latin-1"))]
        answer = await service.http.get("/healthz", headers=headers)
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])

    @pytest.mark.parametrize("path", ["/healthz", "/v1/me", "/nope", "/metrics", WEBHOOKS])
    async def test_is_in_every_answer_and_new_each_time(self, service: Service, path: str) -> None:
        ids = {(await service.http.get(path)).headers["x-request-id"] for _ in range(3)}
        assert len(ids) == 3


async def test_no_answer_shows_a_version(service: Service) -> None:
    versions = [
        version(name) for name in ("fastapi", "starlette", "uvicorn", "asyncpg", "pydantic")
    ]
    for path in [*HEALTH, *PROTECTED, "/nope", WEBHOOKS]:
        answer = await service.http.get(path)
        told = f"{answer.headers} {answer.text}".lower()
        assert not [one for one in [*versions, sys.version.split()[0]] if one in told]
        assert not {"server", "x-powered-by"} & set(answer.headers)


async def test_documents_are_closed_unless_asked_for(clerk: ClerkEmulator, store_url: str) -> None:
    async with running_service(clerk, store_url, docs=True) as service:
        assert (await service.http.get("/docs")).status_code == 200
        assert (await service.http.get("/openapi.json")).status_code == 200


ANSWERS = {
    ("/v1/me", "get"): {"200", "401", "403", "422", "503"},
    ("/v1/session", "get"): {"200", "401", "403", "503"},
    (WEBHOOKS, "post"): {"202", "204", "400", "408", "413", "415", "503"},
    ("/healthz", "get"): {"200"},
    ("/readyz", "get"): {"200", "503"},
    ("/metrics", "get"): {"200"},
}


async def test_the_openapi_document_has_every_answer_and_the_security_scheme(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with running_service(clerk, store_url, docs=True) as service:
        document = (await service.http.get("/openapi.json")).json()
    told = {
        (path, method): set(operation["responses"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert told == ANSWERS
    scheme = document["components"]["securitySchemes"]["ClerkSession"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    for path in PROTECTED:
        assert document["paths"][path]["get"]["security"] == [{"ClerkSession": []}]
    problems = document["paths"][WEBHOOKS]["post"]["responses"]["400"]["content"]
    assert list(problems) == ["application/problem+json"]

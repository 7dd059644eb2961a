"""Nobody gets in or does anything without permission, by whatever path, method or Host."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from domain.subscriptions import Subscription
from scripts.clerk_emulator import ClerkEmulator
from service.console.routes import FOR_ANYBODY, FOR_OPERATORS, FOR_READERS
from service.services import services_of
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.console.routes import ACTIONABLE, GUARDED, NOWHERE, READABLE, routes_of
from tests.console.visitors import COOKIE, OPERATOR, READER, TOKENS, Visitor, visitor_of
from tests.postgres_server import Sql
from tests.running import Service, bearer, problem, running_service

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")

HOSTS = (
    "localhost",
    "a/?b",
    "localhost:99999",
    "localhost/console/sign-in",
    "evil.example",
    "localhost@evil.example",
    "",
    "[::1",
    "x" * 1000,
)


def test_only_the_ways_in_need_no_permission() -> None:
    ways_in = {route.path for route in routes_of(*FOR_ANYBODY)}
    assert ways_in == {"/static/{name}", "/sign-in", "/sign-out"}


def test_every_action_changes_something_by_post_alone() -> None:
    methods = {tuple(route.methods or ()) for route in routes_of(*FOR_OPERATORS)}
    assert methods == {("GET",), ("POST",)}
    assert {tuple(route.methods or ()) for route in routes_of(*FOR_READERS)} == {("GET",)}


def is_kept_out(answer: httpx.Response) -> bool:
    """Told to sign in, or that there is nothing of the kind; and nothing of ours is in it."""
    return answer.status_code in (400, 401, 404, 405) and "Sign out" not in answer.text


@pytest.mark.parametrize("method", METHODS)
async def test_nobody_gets_anything_by_any_method(nobody: Visitor, method: str) -> None:
    answers = {path: await nobody.http.request(method, path) for path in GUARDED}
    assert [path for path, answer in answers.items() if not is_kept_out(answer)] == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_host_opens_the_console(nobody: Visitor, method: str, host: str) -> None:
    headers = {"host": host}
    answers = {path: await nobody.http.request(method, path, headers=headers) for path in GUARDED}
    assert [path for path, answer in answers.items() if not is_kept_out(answer)] == []


@pytest.mark.parametrize("end", ["", "/body", "/replay", "/dismiss"])
async def test_an_endless_number_is_kept_out_as_any_path_is(nobody: Visitor, end: str) -> None:
    assert (await nobody.get(f"/deliveries/{'9' * 5000}{end}")).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/console/",
        "/console//deliveries",
        "/console/./deliveries",
        "/console/static/../deliveries",
        "/console/static/%2e%2e/deliveries",
        "/console/sign-in/../audit",
        "/console/sign-in/..%2faudit",
        "//console/audit",
        "/console/audit/",
        "/console/audit;/console/static/console.css",
        "/CONSOLE/audit",
        "/console/static/console.css/../../audit",
        "/console/audit%00",
        "/console/audit?after=/console/sign-in",
    ],
)
async def test_no_spelling_of_a_path_opens_the_console(nobody: Visitor, path: str) -> None:
    raw = httpx.URL("http://localhost").copy_with(raw_path=path.encode())
    assert is_kept_out(await nobody.http.get(raw))


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-prefix": "/console/static"},
        {"x-original-url": "/console/sign-in"},
        {"x-rewrite-url": "/console/sign-in"},
        {"x-forwarded-host": "localhost"},
        {"x-http-method-override": "GET"},
        {"hx-request": "true"},
        {"cookie": "console="},
        {"cookie": "__Host-console=x"},
        {"cookie": "console=x; __Host-console=y"},
        {"cookie": "__session=x.y.z"},
        {"authorization": f"Bearer {OPERATOR}"},
        {"authorization": "Bearer "},
    ],
)
async def test_no_header_opens_the_console(nobody: Visitor, headers: dict[str, str]) -> None:
    for path in ("/console", "/console/audit"):
        assert (await nobody.http.get(path, headers=headers)).status_code == 401


@pytest.mark.parametrize("path", READABLE)
async def test_a_reader_may_read(service: Service, reader: Visitor, path: str, sql: Sql) -> None:
    await service.deliver(webhook_bytes("user.created"))
    await services_of(service.app).store.subscriptions.declare(Subscription(name="mail"))
    entry = await sql.fetchval("select id from sync_journal")
    answer = await reader.http.get(path.replace("/1", f"/{entry}"))
    # Bodies are for operators, unless the settings say otherwise.
    refused = {"/body": 403, NOWHERE: 404}
    wanted = next((status for end, status in refused.items() if path.endswith(end)), 200)
    assert answer.status_code == wanted


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ACTIONABLE)
async def test_a_reader_may_not_act(reader: Visitor, path: str, method: str, sql: Sql) -> None:
    answer = await reader.http.request(method, path, data={} if method == "GET" else {"a": "b"})
    assert answer.status_code == 403
    assert (
        await sql.fetchval("select count(*) from operator_actions where action <> 'sign in'") == 0
    )


@pytest.mark.parametrize("path", ["/console", "/console/sign-in", "/console/static/console.css"])
async def test_unconfigured_there_is_no_console(
    clerk: ClerkEmulator, store_url: str, path: str
) -> None:
    async with running_service(clerk, store_url) as service:
        answer = await service.http.get(path)
        assert (answer.status_code, answer.json()) == (404, problem(404, "not_found"))
        unknown = await service.http.get("/nothing/like/that")
        assert (unknown.status_code, unknown.json()) == (answer.status_code, answer.json())


@pytest.fixture
async def for_sessions(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    """Ada may look, any admin of that organisation may act, and there is no token."""
    grants: dict[str, Any] = {
        "console_readers": ADA,
        "console_operators": f"user_operator,{ORGANISATION}:admin",
    }
    async with running_service(clerk, store_url, **grants) as service:
        yield service


ORGANISATION = "org_2abc"


@pytest.mark.parametrize(
    ("user", "claims", "reads", "acts"),
    [
        (ADA, {}, 200, 403),
        ("user_operator", {}, 200, 200),
        ("user_stranger", {}, 401, 401),
        ("user_admin", {"o": {"id": ORGANISATION, "rol": "admin"}}, 200, 200),
        ("user_admin", {"v": 1, "org_id": ORGANISATION, "org_role": "org:admin"}, 200, 200),
        ("user_member", {"o": {"id": ORGANISATION, "rol": "member"}}, 401, 401),
        ("user_admin", {"o": {"id": "org_another", "rol": "admin"}}, 401, 401),
        ("user_admin", {"o": {"id": ORGANISATION}}, 401, 401),
        ("user_admin", {"o": "admin"}, 401, 401),
        ("user_operator", {"act": {"sub": "user_impostor"}}, 401, 401),
        ("user_operator", {"sts": "pending"}, 401, 401),
    ],
)
@pytest.mark.parametrize("carried", ["header", "cookie"])
async def test_a_session_is_let_in_by_the_lists(
    *,
    for_sessions: Service,
    clerk: ClerkEmulator,
    user: str,
    claims: dict[str, Any],
    reads: int,
    acts: int,
    carried: str,
) -> None:
    token = clerk.session_token(user, **claims)
    async with visitor_of(for_sessions.app) as visitor:
        if carried == "header":
            visitor.headers |= bearer(token)
        else:
            visitor.headers["cookie"] = f"__session={token}"
            signed_in = await visitor.post("/sign-in")
            assert signed_in.status_code == (303 if reads == 200 else 401)
            visitor.headers["cookie"] += f"; {COOKIE}={signed_in.cookies.get(COOKIE, '')}"
        answers = [(await visitor.get(path)).status_code for path in ("/audit", "/drift/check")]
    assert answers == [reads, acts]


async def test_clerks_cookie_alone_opens_nothing(
    for_sessions: Service, clerk: ClerkEmulator
) -> None:
    """Whoever has signed out of the console stays out, though the application's session goes on."""
    async with visitor_of(for_sessions.app) as visitor:
        visitor.headers["cookie"] = f"__session={clerk.session_token(ADA)}"
        assert (await visitor.get()).status_code == 401


async def test_without_lists_no_session_is_let_in(nobody: Visitor, clerk: ClerkEmulator) -> None:
    answer = await nobody.http.get("/console", headers=bearer(clerk.session_token(ADA)))
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("bodies", "token", "status"),
    [
        ("nobody", OPERATOR, 403),
        ("operators", READER, 403),
        ("operators", OPERATOR, 200),
        ("readers", READER, 200),
    ],
)
async def test_bodies_are_shown_to_whom_the_settings_say(
    *, clerk: ClerkEmulator, store_url: str, sql: Sql, bodies: str, token: str, status: int
) -> None:
    async with running_service(clerk, store_url, console_bodies=bodies, **TOKENS) as service:
        await service.deliver(webhook_bytes("user.created"))
        async with visitor_of(service.app) as visitor:
            await visitor.sign_in(token)
            entry = await sql.fetchval("select id from sync_journal")
            answer = await visitor.get(f"/deliveries/{entry}/body")
        assert answer.status_code == status
        assert ("ada@example.com" in answer.text) == (status == 200)

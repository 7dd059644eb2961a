"""`CurrentUser`, `CurrentSession` and the webhook in a host's application."""

import inspect
from collections.abc import AsyncIterator

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.people import new_id
from tests.postgres_server import Sql, TemporaryStore
from tests.running import (
    REFUSED,
    UNAUTHORIZED,
    WEBHOOKS,
    Service,
    bearer,
    client_of,
    problem,
    settings_for,
)
from tests.service import example_app
from tests.service.tables import journal, stored_user
from tests.service.tokens import BAD_TOKENS


@pytest.fixture(scope="module")
async def running_shop(
    shared_clerk: ClerkEmulator, lasting_store: TemporaryStore
) -> AsyncIterator[Service]:
    app = example_app.shop(settings_for(shared_clerk, lasting_store.url))
    async with app.router.lifespan_context(app), client_of(app) as http:
        yield Service(http, app, shared_clerk.config.webhook_secrets[0])


@pytest.fixture
def shop(running_shop: Service, clerk: ClerkEmulator, store_url: str) -> Service:
    """The shop, without known users."""
    return running_shop


def test_it_takes_less_than_ten_lines() -> None:
    ours = ("mount", "user_sync", "CurrentUser", "CurrentSession", "service.settings")
    lines = inspect.getsource(example_app).splitlines()
    assert 0 < len([line for line in lines if any(name in line for name in ours)]) < 10


async def test_webhooks_are_taken(shop: Service, sql: Sql) -> None:
    answer = await shop.deliver(webhook_bytes("user.created"), svix_id="msg_1")
    assert answer.status_code == 204
    assert (await stored_user(sql, ADA))["email"] == "ada@example.com"
    assert [entry["svix_id"] for entry in await journal(sql)] == ["msg_1"]


async def test_a_user_from_a_webhook_is_served(shop: Service, clerk: ClerkEmulator) -> None:
    await shop.deliver(webhook_bytes("user.created"))
    answer = await shop.http.get("/orders", headers=bearer(clerk.session_token(ADA)))
    assert answer.json() == {"orders of": "ada@example.com"}
    assert clerk.calls.count("GetUser") == 0


async def test_a_first_request_syncs(shop: Service, clerk: ClerkEmulator) -> None:
    email = f"{new_id()}@example.com"
    person = clerk.create_user(email_address=[email])
    answer = await shop.http.get("/orders", headers=bearer(clerk.session_token(person["id"])))
    assert answer.json() == {"orders of": email}
    assert clerk.calls.count("GetUser") == 1


async def test_a_session_alone_never_syncs(shop: Service, clerk: ClerkEmulator, sql: Sql) -> None:
    answer = await shop.http.get("/basket", headers=bearer(clerk.session_token(ADA)))
    assert answer.json() == {"basket of": ADA}
    assert clerk.calls.count("GetUser") == 0
    assert await sql.fetchval("select count(*) from users") == 0


@pytest.mark.parametrize("path", ["/orders", "/basket"])
async def test_without_a_token_the_answer_is_ours(shop: Service, path: str) -> None:
    answer = await shop.http.get(path)
    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


CAUSES = {
    "expired": "ExpiredSignatureError",
    "not yet valid": "ImmatureSignatureError",
    "kid of another instance": "unknown kid",
    "iss another": "InvalidIssuerError",
    "another key": "InvalidSignatureError",
    "azp not allowed": "azp is not an authorized party",
    "azp missing": "no azp",
    "from a template": "cat",
    "sid missing": "MissingRequiredClaimError",
}
"""Bad tokens, and what docs/operating/user-cannot-get-in.md calls the reason to refuse them."""


@pytest.mark.parametrize("kind", CAUSES)
async def test_the_applications_log_says_why_a_token_is_refused(
    shop: Service, clerk: ClerkEmulator, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("INFO", "clerk_user_sync")
    answer = await shop.http.get("/basket", headers=bearer(BAD_TOKENS[kind](clerk)))
    assert answer.json() == UNAUTHORIZED
    told = [line.getMessage() for line in caplog.records if line.name == "clerk_user_sync"]
    assert told == [f"session_invalid: the session token is invalid ({CAUSES[kind]})"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("user.deleted", 401, "user_deleted"), ("user.updated.banned", 403, "user_banned")],
)
async def test_a_refused_user_gets_our_answer(
    shop: Service, clerk: ClerkEmulator, name: str, status: int, code: str
) -> None:
    await shop.deliver(webhook_bytes(name))
    answer = await shop.http.get("/orders", headers=bearer(clerk.session_token(ADA)))
    assert (answer.status_code, answer.json()) == (status, problem(status, code))


async def test_a_bad_delivery_gets_our_answer(shop: Service) -> None:
    answer = await shop.http.post(WEBHOOKS, content=b"{}")
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    answer = await shop.http.post(WEBHOOKS, content=b"", headers={"content-type": "text/plain"})
    assert answer.json() == problem(415, "body_not_json")
    assert (await shop.deliver(b"poison")).status_code == 202


async def test_its_own_routes_and_answers_are_untouched(shop: Service) -> None:
    assert (await shop.http.get("/stock/lamp")).json() == {"there": True}
    assert (await shop.http.get("/nope")).json() == {"sorry": 404}
    invalid = await shop.http.get("/stock/lamp", params={"at_least": "many"})
    assert (invalid.status_code, invalid.json()["detail"][0]["input"]) == (422, "many")
    broken = await shop.http.get("/broken")
    assert (broken.status_code, broken.text) == (500, "Internal Server Error")
    assert "x-request-id" not in (await shop.http.get("/stock/lamp")).headers


@pytest.mark.parametrize("path", ["/v1/me", "/v1/session", "/healthz", "/readyz", "/metrics"])
async def test_nothing_else_of_ours_is_added(shop: Service, path: str) -> None:
    assert (await shop.http.get(path)).json() == {"sorry": 404}


async def test_its_documents_tell_our_scheme(shop: Service) -> None:
    document = (await shop.http.get("/openapi.json")).json()
    assert document["paths"]["/orders"]["get"]["security"] == [{"ClerkSession": []}]
    assert "post" in document["paths"][WEBHOOKS]


async def test_a_forgotten_lifespan_is_an_error_with_advice(clerk: ClerkEmulator) -> None:
    app = example_app.shop(settings_for(clerk, "postgresql://u:p@127.0.0.1:1/nowhere"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        with pytest.raises(RuntimeError, match="user_sync"):
            await http.get("/basket")

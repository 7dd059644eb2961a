"""A browser front end on another origin."""

from collections.abc import AsyncIterator

import pytest
from pydantic import ValidationError

from scripts.clerk_emulator import ClerkEmulator
from tests.people import new_id
from tests.running import Service, bearer, running_service, settings_for

SHOP = "https://shop.example.com"


@pytest.fixture
async def service(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(
        clerk, store_url, cors_origins=f"{SHOP}/, http://localhost:3000"
    ) as (service):
        yield service


async def test_a_listed_origin_may_ask_with_a_token(service: Service, clerk: ClerkEmulator) -> None:
    preflight = await service.http.options(
        "/v1/me",
        headers={
            "Origin": SHOP,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == SHOP
    assert preflight.headers["x-content-type-options"] == "nosniff"
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    person = clerk.create_user(email_address=[f"{new_id()}@example.com"])
    token = clerk.session_token(person["id"])
    answer = await service.http.get("/v1/me", headers={"Origin": SHOP, **bearer(token)})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, SHOP)
    assert "access-control-allow-credentials" not in answer.headers


async def test_a_listed_origin_may_read_errors_too(service: Service) -> None:
    for path, status in (("/v1/me", 401), ("/nowhere", 404)):
        answer = await service.http.get(path, headers={"Origin": "http://localhost:3000"})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_another_origin_may_not(service: Service) -> None:
    answer = await service.http.get("/v1/me", headers={"Origin": "https://evil.example.com"})
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origin", ["*", "shop.example.com", "https://shop.example.com/app", "null"]
)
def test_what_can_never_match_is_refused(clerk: ClerkEmulator, origin: str) -> None:
    with pytest.raises(ValidationError, match="comma-separated"):
        settings_for(clerk, "postgresql://u@h/d", cors_origins=origin)

"""One quota, shared by the service and an operator's command."""

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from service.bootstrap import operations
from tests.running import bearer, client_of, settings_for

SMALLEST = 10


async def test_with_the_smallest_quota_a_command_can_ask(
    clerk: ClerkEmulator, store_url: str
) -> None:
    clerk.create_users(2)
    settings = settings_for(clerk, store_url, clerk_rate_limit=SMALLEST)
    async with operations(settings) as available:
        assert await available.identity_provider.count() == 2


async def test_with_the_smallest_quota_the_service_can_ask(
    clerk: ClerkEmulator, store_url: str
) -> None:
    person = clerk.create_user(email_address=["ada@example.com"])["id"]
    app = create_app(settings_for(clerk, store_url, clerk_rate_limit=SMALLEST))
    async with app.router.lifespan_context(app), client_of(app) as http:
        answer = await http.get("/v1/me", headers=bearer(clerk.session_token(person)))
    assert answer.status_code == 200


@pytest.mark.parametrize("too_small", [1, 9, 0, -1])
def test_a_smaller_one_is_refused_by_its_name(
    clerk: ClerkEmulator, store_url: str, too_small: int
) -> None:
    with pytest.raises(ValueError, match="clerk_rate_limit"):
        settings_for(clerk, store_url, clerk_rate_limit=too_small)

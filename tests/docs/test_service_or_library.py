"""docs/guides/service-or-library.md: its application beside a service, on one store."""

from pathlib import Path
from types import ModuleType

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import envelope, webhook_bytes
from tests.docs.guides import blocks
from tests.postgres_server import Sql
from tests.running import bearer, client_of, running_service

GUIDE = "service-or-library.md"
(APP,) = blocks(GUIDE, "python")
(BY_CLERK_ID,) = blocks(GUIDE, "sql")


def application() -> ModuleType:
    """The guide's `app.py`, with the repository's names for what the package exports."""
    module = ModuleType("app")
    text = APP.replace(
        "from clerk_user_sync import CurrentUser, user_sync",
        "from service.app import user_sync\nfrom service.auth import CurrentUser",
    )
    exec(text, vars(module))
    return module


async def test_the_service_takes_webhooks_and_the_application_knows_the_user(
    clerk: ClerkEmulator,
    store_url: str,
    sql: Sql,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    person = clerk.create_user(email_address=["ada@example.com"], first_name="Ada")
    event = {**envelope("user.created"), "data": clerk.get_user(person["id"])}
    event["timestamp"] = clerk.clock()
    monkeypatch.chdir(tmp_path)  # where there is no .env
    for name, value in {**clerk.config.environment(), "DATABASE_URL": store_url}.items():
        monkeypatch.setenv(name, value)
    app = application().app
    async with running_service(clerk, store_url) as service:
        assert (await service.deliver(event)).status_code == 204
        clerk.calls.clear()
        async with app.router.lifespan_context(app), client_of(app) as http:
            token = clerk.session_token(person["id"])
            greeted = await http.get("/hello", headers=bearer(token))
            assert (greeted.status_code, greeted.json()["hello"]) == (200, "Ada")
            assert clerk.calls.count("GetUser") == 0
            posted = await http.post("/webhooks/clerk", content=webhook_bytes("user.created"))
            assert posted.status_code == 404
            assert (await http.get("/hello")).status_code == 401
    found = await sql.fetchrow(BY_CLERK_ID, person["id"])
    assert found is not None
    assert (str(found["id"]), found["email"]) == (greeted.json()["your_id"], "ada@example.com")

"""The console in an application that is not ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from scripts.clerk_emulator import ClerkEmulator
from service.app import mount, mount_console, user_sync
from service.settings import Settings
from tests.console.visitors import OPERATOR, TOKENS, Visitor, visitor_of
from tests.running import settings_for


def shop(settings: Settings) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with user_sync(app, settings):
            yield

    app = FastAPI(lifespan=lifespan)
    mount(app)
    mount_console(app)
    return app


@asynccontextmanager
async def visiting(app: FastAPI, root_path: str = "") -> AsyncIterator[Visitor]:
    async with app.router.lifespan_context(app), visitor_of(app, root_path) as visitor:
        yield visitor


async def test_it_is_the_same_console(clerk: ClerkEmulator, store_url: str) -> None:
    async with visiting(shop(settings_for(clerk, store_url, **TOKENS))) as visitor:
        assert (await visitor.get()).status_code == 401
        await visitor.sign_in(OPERATOR)
        answer = await visitor.get("/drift/check")
        assert (answer.status_code, "Check for drift" in answer.text) == (200, True)
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")


@pytest.mark.parametrize("path", ["", "/sign-in", "/static/console.css", "/drift/check"])
async def test_unconfigured_it_is_not_there(
    clerk: ClerkEmulator, store_url: str, path: str
) -> None:
    async with visiting(shop(settings_for(clerk, store_url))) as visitor:
        assert (await visitor.get(path)).status_code == 404


async def test_as_a_part_of_another_application_it_is_under_that_path(
    clerk: ClerkEmulator, store_url: str
) -> None:
    inner = shop(settings_for(clerk, store_url, **TOKENS))
    outer = FastAPI()
    outer.mount("/sync", inner)
    async with inner.router.lifespan_context(inner), visitor_of(outer) as visitor:
        visitor.base = "/sync/console"
        assert (await visitor.sign_in(OPERATOR)).headers["location"] == "/sync/console"
        page = await visitor.get("/deliveries")
        assert 'href="/sync/console/audit"' in page.text

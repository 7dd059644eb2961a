"""The webhook and the request do not notice the console."""

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from tests.console.visitors import TOKENS, Visitor
from tests.running import Service, settings_for


def test_nothing_is_put_around_them(clerk: ClerkEmulator) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:9/nowhere"
    without = create_app(settings_for(clerk, nowhere))
    beside = create_app(settings_for(clerk, nowhere, **TOKENS))
    assert [one.cls for one in beside.user_middleware] == [
        one.cls for one in without.user_middleware
    ]
    assert set(beside.exception_handlers) == set(without.exception_handlers)


def test_they_are_looked_for_first(clerk: ClerkEmulator) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:9/nowhere"
    without = create_app(settings_for(clerk, nowhere)).routes
    beside = create_app(settings_for(clerk, nowhere, **TOKENS)).routes
    assert [type(route) for route in beside[: len(without)]] == [type(route) for route in without]


async def test_all_pages_are_one_series_of_the_metrics(service: Service, reader: Visitor) -> None:
    before = await service.metric("http_requests_total", route="/console", status="200")
    for path in ("", "/deliveries", "/users/user_1", "/static/console.css"):
        await reader.get(path)
    after = await service.metric("http_requests_total", route="/console", status="200")
    assert after - before == 4

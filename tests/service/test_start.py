"""The modules that a start loads, and those that it leaves out."""

import subprocess
import sys

from tests.service.given_settings import GOOD

NOT_NEEDED_TO_SERVE = {
    "aio_pika",
    "alembic",
    "jinja2",
    "nats",
    "opentelemetry.sdk",
    "pygments",
    "rich",
    "service.console",
    "sqlalchemy",
    "sqlmodel",
    "svix.models",
    "typer",
}
STARTED = """
import sys
from service.__main__ import main
assert main({arguments}) in (64, 78)  # it reads no further than arguments and settings
import service.edge.server
"""
NOWHERE = "127.0.0.1:1"
SETTINGS = {
    **GOOD,
    "database_url": f"postgresql://u:p@{NOWHERE}/d",
    "clerk_api_url": f"http://{NOWHERE}",
    "clerk_jwks_url": f"http://{NOWHERE}/keys",
}
SERVED = f"""
import asyncio
from io import StringIO
from httpx import ASGITransport, AsyncClient
from service.app import create_app
from service.settings import Settings

async def serve():
    app = create_app(Settings(_env_file=None, **{SETTINGS}), StringIO())
    network = ASGITransport(app)
    async with app.router.lifespan_context(app), AsyncClient(transport=network) as http:
        for path in ("healthz", "readyz", "metrics", "v1/me", "nothing"):
            await http.get("http://service/" + path)

asyncio.run(serve())
"""
MODULES = "print(*sys.modules)\n"


def test_what_serving_does_not_need_is_not_loaded() -> None:
    """Each of these would make every start slower and every worker larger."""
    program = STARTED.format(arguments=["serve", "twice"]) + SERVED + MODULES
    loaded = {*_printed_by(program).split()}
    assert "service.app" in loaded
    assert loaded & NOT_NEEDED_TO_SERVE == set()


def test_handlers_find_structlog_with_rich() -> None:
    loaded = _printed_by(STARTED.format(arguments=["work"]) + MODULES).split()
    assert "rich" in loaded


def test_an_application_finds_rich_and_the_whole_of_svix_later() -> None:
    program = STARTED.format(arguments=["serve", "twice"]) + (
        "import rich, svix.webhooks; print(rich.get_console, svix.Svix, svix.webhooks.Webhook)"
    )
    assert "<class 'svix.webhooks.Webhook'>" in _printed_by(program)


def _printed_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, env={}
    )
    return done.stdout

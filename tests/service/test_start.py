"""The modules that a start loads, and those that it leaves out."""

import subprocess
import sys

NOT_NEEDED_TO_SERVE = {
    "aio_pika",
    "alembic",
    "faststream",
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
print(*sys.modules)
"""


def test_what_serving_does_not_need_is_not_loaded() -> None:
    """Each of these would make every start slower and every worker larger."""
    loaded = {*_printed_by(STARTED.format(arguments=["serve", "twice"])).split()}
    assert "service.app" in loaded
    assert loaded & NOT_NEEDED_TO_SERVE == set()


def test_handlers_find_structlog_with_rich() -> None:
    loaded = _printed_by(STARTED.format(arguments=["work"])).split()
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

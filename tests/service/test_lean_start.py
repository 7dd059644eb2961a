"""A service that uses none of the extras imports none of their libraries."""

import subprocess
import sys

HEAVY = {"alembic", "sqlalchemy", "sqlmodel", "jinja2", "faststream", "nats", "aio_pika", "typer"}
PROGRAM = f"""
import sys
import service.__main__, service.edge.server
print(*sorted({HEAVY} & set(sys.modules)), "opentelemetry.sdk" in sys.modules)
"""


def test_what_only_an_extra_needs_is_not_imported_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"

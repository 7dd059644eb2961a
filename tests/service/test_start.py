"""The modules that a start loads."""

import subprocess
import sys

SEEN = "import sys, service.__main__, service.edge.server; print(*sorted(sys.modules))"
NOT_NEEDED_TO_SERVE = ("alembic", "sqlalchemy", "sqlmodel", "jinja2", "service.console")


def test_what_serving_does_not_need_is_not_loaded() -> None:
    """Each of these would make every start slower and every worker larger."""
    loaded = subprocess.run(
        [sys.executable, "-c", SEEN], check=True, capture_output=True, text=True
    ).stdout.split()
    assert [name for name in NOT_NEEDED_TO_SERVE if name in loaded] == []
    assert "service.app" in loaded

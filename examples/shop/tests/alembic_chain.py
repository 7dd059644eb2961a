"""The shop's `alembic`, as its deployment runs it."""

import os
import subprocess
import sys
from pathlib import Path

SHOP = Path(__file__).parents[1]


class Chain:
    def __init__(self, url: str, folder: Path = SHOP) -> None:
        self.folder = folder
        self._environment = {**os.environ, "DATABASE_URL": url, "DATABASE_SCHEMA": "clerk"}

    def run(self, *arguments: str) -> str:
        return self._run("alembic", *arguments)

    def migrate_ours(self) -> str:
        """`clerk-user-sync migrate`, beside the chain."""
        return self._run("clerk_user_sync", "migrate")

    def _run(self, module: str, *arguments: str) -> str:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout

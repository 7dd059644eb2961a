"""The service behaves as `/openapi.json` says: Schemathesis sends valid and invalid requests."""

import asyncio
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.clerk_emulator import ClerkEmulator
from service.app import create_app
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, client_of, settings_for, svix_headers
from tests.service.listening import listening
from tests.service.tables import count_rows

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
SEED = "20260101"


@dataclass(frozen=True)
class Examined:
    """The exit code and the output of a run of Schemathesis."""

    status: int
    said: str

    @property
    def cases(self) -> int:
        """The number of generated requests."""
        return sum(int(count) for count in re.findall(r"(\d+) generated", self.said))


async def examine(clerk: ClerkEmulator, database_url: str, examples: int) -> Examined:
    """Our application on a port, asked by a user with a valid token and by Svix."""
    settings = settings_for(clerk, database_url, docs=True)
    app = create_app(settings)
    async with listening(app, settings) as at, client_of(app) as http:
        secret, ada = clerk.config.webhook_secrets[0], webhook_bytes("user.created")
        await http.post(WEBHOOKS, content=ada, headers=svix_headers(secret, ada))
        return await schemathesis(
            f"http://127.0.0.1:{at.port}/openapi.json",
            f"--max-examples={examples}",
            SESSION_TOKEN=clerk.session_token(ADA, exp=int(time.time()) + 3600),
            WEBHOOK_SECRET=secret,
        )


async def schemathesis(*arguments: str, **environment: str) -> Examined:
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("schemathesis"), f"--config-file={CONFIG}"),
        *("run", "--checks=all", f"--seed={SEED}", "--no-shrink", *arguments),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return Examined(process.returncode, said.decode())


async def assert_honest(clerk: ClerkEmulator, database_url: str, sql: Sql, examples: int) -> int:
    """How many requests were made up. Signed webhooks among them are kept, and make no user."""
    examined = await examine(clerk, database_url, examples)
    assert examined.status == 0, examined.said
    users, entries = await count_rows(sql)
    assert users == 1, "only the one who was there before"
    assert entries > 1, "no webhook was accepted"
    return examined.cases


async def test_the_service_does_what_its_openapi_document_says(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    assert await assert_honest(clerk, store_url, sql, examples=5) > 50


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_however_often_it_is_asked(
    clerk: ClerkEmulator,
    store_url: str,
    sql: Sql,
    record_property: Callable[[str, object], None],
) -> None:
    cases = await assert_honest(clerk, store_url, sql, examples=400)
    record_property("schemathesis cases", cases)
    assert cases > 400

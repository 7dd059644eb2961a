"""The commands of docs/guides/upgrading.md, on a schema and rows of release 1.0."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from adapters.postgres import upgrade
from adapters.postgres.migrate import _run, migrate
from adapters.postgres.servers import Servers
from scripts.clerk_emulator import EmulatorConfig, running_emulator
from tests.docs.runbooks import GUIDES, Runbook
from tests.people import new_id
from tests.postgres_server import Sql, temporary_database


@pytest.fixture
async def url(postgres_url: str) -> AsyncIterator[str]:
    async with temporary_database(postgres_url, f"upgrading_{new_id()}") as url:
        yield url


async def test_the_rows_of_release_1_0_are_filled_in(
    url: str, signing_key: RSAPrivateKey, tmp_path: Path
) -> None:
    async with running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk:
        environment = {**clerk.config.environment(), "DATABASE_URL": url}
        page = Runbook("upgrading", environment, tmp_path, GUIDES)
        ada = clerk.create_user(email_address=["ada@example.com", "lovelace@example.com"])
        sql: Sql = await asyncpg.connect(url)
        await migrate(url)
        await _run(Servers(url), partial(upgrade.step_back, revision="0006"))
        await sql.execute(
            """
            insert into users (
                clerk_id, clerk_created_at, clerk_updated_at, observed_at, digest, synced_by,
                email, email_verified, first_name, public_metadata, banned
            )
            select $1, updated, updated, updated, $2, 'webhook', 'ada@example.com', true, '', '{}',
                false
            from to_timestamp($3 / 1000.0) as updated
            """,
            ada["id"],
            b"release 1.0: 16B",
            ada["updated_at"],
        )
        await page.next()
        await page.next()
        addresses = await sql.fetchval("select email_addresses from users")
        await sql.close()
    assert "lovelace@example.com" in addresses
    assert page.blocks == []

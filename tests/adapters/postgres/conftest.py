from collections.abc import AsyncIterator

import pytest

from tests.postgres_server import Sql


@pytest.fixture
async def accounts(sql: Sql) -> AsyncIterator[Sql]:
    await sql.execute("drop table if exists accounts")
    await sql.execute(
        "create table accounts (id text, email text, external_id text, verified boolean)"
    )
    yield sql
    await sql.execute("drop table accounts")

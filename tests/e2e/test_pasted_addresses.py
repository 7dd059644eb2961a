"""Addresses as providers show them, given to the service and the commands as they are."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.postgres.certificates import certificates_in
from tests.adapters.postgres.tls_server import served, server_context
from tests.commands.commands import Operator
from tests.e2e.messages import sign_up
from tests.e2e.processes import environment_for, running_process
from tests.postgres_server import temporary_database

pytestmark = pytest.mark.slow


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    async with temporary_database(postgres_url, f"e2e_pasted_{os.getpid()}") as url:
        yield url


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("postgres", ""),
        ("postgresql+asyncpg", "?ssl=prefer&prepared_statement_cache_size=0"),
        ("postgresql+psycopg", "?sslmode=prefer&connect_timeout=10&application_name=shop"),
        ("postgresql", "?schema=public&pgbouncer=true&connection_limit=1&pool_timeout=20"),
    ],
)
async def test_another_clients_address_works_as_it_is(
    clerk: ClerkEmulator, empty_url: str, tmp_path: Path, scheme: str, options: str
) -> None:
    url = f"{scheme}://{empty_url.partition('://')[2]}{options}"
    environment = environment_for(clerk, url)
    async with running_process(environment, tmp_path) as service:
        ended = await Operator(environment).run("doctor", "--json")
        assert (await service.deliver(sign_up(clerk))).status_code == 204
    states = {record["about"]: record["state"] for record in ended.records}
    assert (states["store"], states["schema"]) == ("ok", "ok")
    password = urlsplit(url).password
    assert password
    assert password not in service.stdout + service.stderr + ended.said


async def test_neons_address_works_and_what_is_done_instead_of_channel_binding_is_logged(
    clerk: ClerkEmulator, empty_url: str, tmp_path: Path
) -> None:
    """`SSL_CERT_FILE` is where OpenSSL finds the authorities that a machine trusts."""
    certificates = certificates_in(tmp_path, "localhost")
    async with served(empty_url, server_context(certificates)) as (server, url):
        neons = f"{url}?sslmode=require&channel_binding=require"
        environment = environment_for(clerk, neons, SSL_CERT_FILE=str(certificates.root))
        async with running_process(environment, tmp_path) as service:
            assert (await service.deliver(sign_up(clerk))).status_code == 204
    (warning,) = [line for line in service.log() if line["event"] == "database_url"]
    assert (warning["level"], server.plain) == ("warning", 0)
    assert warning["note"].startswith("channel_binding=require: ")

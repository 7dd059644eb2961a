"""Sessions over real TLS."""

import ssl
from pathlib import Path

import pytest

from adapters.postgres.database import Database
from adapters.postgres.migrate import migrate
from adapters.postgres.servers import Servers
from domain.errors import StorageUnavailable
from tests.adapters.postgres.certificates import Certificates, certificates_in
from tests.adapters.postgres.tls_server import served, server_context


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates_in(tmp_path_factory.mktemp("certificates"), "localhost")


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    return server_context(certificates)


def query(text: str, certificates: Certificates) -> str:
    return text.format(root=certificates.root, other=certificates.other_root)


@pytest.mark.parametrize(
    "options",
    [
        "",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=no-verify",
        "sslmode=verify-ca&sslrootcert={root}",
        "sslmode=verify-full&sslrootcert={root}",
        "sslmode=require&channel_binding=require&sslrootcert={root}",
    ],
)
async def test_a_session_is_encrypted_and_the_server_proven(
    options: str, store_url: str, context: ssl.SSLContext, certificates: Certificates
) -> None:
    async with served(store_url, context) as (server, url):
        connection = await Servers(f"{url}?{query(options, certificates)}").connect(timeout=10)
        assert await connection.fetchval("select 1") == 1
        await connection.close()
    assert (server.encrypted, server.plain) == (1, 0)


NOT_TRUSTED = "its certificate is not trusted: see sslmode and sslrootcert"


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ("sslmode=require&sslrootcert={other}", "localhost"),
        ("sslmode=verify-ca&sslrootcert={other}", "localhost"),
        ("sslmode=verify-full&sslrootcert={other}", "localhost"),
        ("sslmode=verify-full&sslrootcert={root}", "127.0.0.1"),
        ("sslmode=verify-full&sslrootcert=system", "localhost"),
        ("sslmode=require&channel_binding=require", "localhost"),
        ("sslmode=require&channel_binding=require&sslrootcert={root}", "127.0.0.1"),
    ],
)
async def test_a_server_that_is_not_proven_is_not_spoken_to(
    options: str, host: str, store_url: str, context: ssl.SSLContext, certificates: Certificates
) -> None:
    async with served(store_url, context) as (server, url):
        there = f"{url.replace('@localhost:', f'@{host}:')}?{query(options, certificates)}"
        database = Database(there)
        await database.open()
        with pytest.raises(StorageUnavailable, match=NOT_TRUSTED):
            await database.run(lambda connection: connection.fetchval("select 1"))
        await database.close()
        with pytest.raises(StorageUnavailable, match=NOT_TRUSTED):
            await migrate(there)
    assert (server.encrypted, server.plain) == (0, 0)


@pytest.mark.parametrize("options", ["sslmode=require", "sslmode=no-verify"])
async def test_a_server_without_tls_is_not_spoken_to_where_tls_is_demanded(
    options: str, store_url: str
) -> None:
    async with served(store_url, None) as (server, url):
        with pytest.raises(StorageUnavailable, match="or offers no TLS"):
            await migrate(f"{url}?{options}")
        await (await Servers(f"{url}?sslmode=prefer").connect(timeout=10)).close()
    assert server.plain == 1


async def test_tls_begins_at_once_with_direct_negotiation(
    store_url: str, context: ssl.SSLContext, certificates: Certificates, tmp_path: Path
) -> None:
    options = f"sslmode=verify-full&sslnegotiation=direct&sslrootcert={certificates.root}"
    async with served(store_url, context, direct=True) as (server, url):
        await (await Servers(f"{url}?{options}").connect(timeout=10)).close()
    assert server.encrypted == 1

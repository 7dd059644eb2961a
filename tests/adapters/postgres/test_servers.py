"""The server of an address on which a session is opened, and errors for wrong addresses."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from adapters.postgres.address import with_database
from adapters.postgres.database import Database, out_of_reach
from adapters.postgres.own_connection import own_connection
from adapters.postgres.servers import Servers
from domain.errors import StorageUnavailable
from tests.e2e.processes import eventually
from tests.postgres_server import Sql


class SilentHost:
    """A server that accepts connections and never answers, like a machine that is down."""

    def __init__(self) -> None:
        self.address = ""
        self.tries = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tries += 1
        await reader.read()
        writer.close()


@pytest.fixture
async def silent_host() -> AsyncIterator[SilentHost]:
    host = SilentHost()
    listener = await asyncio.start_server(host.take, "127.0.0.1", 0)
    host.address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    yield host
    listener.close()


def among(url: str, *hosts: str) -> str:
    """The address with these hosts before its own."""
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{credentials}@{','.join([*hosts, host])}").geturl()


async def test_a_host_that_refuses_is_passed_by(store_url: str) -> None:
    connection = await Servers(among(store_url, "127.0.0.1:1")).connect(timeout=4)
    assert await connection.fetchval("select 1") == 1
    await connection.close()


async def test_a_silent_host_costs_its_share_of_the_time_and_only_once(
    store_url: str, silent_host: SilentHost
) -> None:
    servers = Servers(among(store_url, silent_host.address))
    began = time.monotonic()
    for _ in range(3):
        await (await servers.connect(timeout=3)).close()
    assert time.monotonic() - began >= 1.5
    assert silent_host.tries == 1


async def test_a_caller_too_impatient_for_two_silent_hosts_finds_the_third_in_a_few_tries(
    store_url: str, silent_host: SilentHost
) -> None:
    """The timeout of `/readyz`."""
    address = silent_host.address
    servers = Servers(among(store_url, address, address.replace("127.0.0.1", "localhost")))

    async def is_reached() -> bool:
        try:
            async with asyncio.timeout(0.8):
                await (await servers.connect(timeout=1.8)).close()
        except TimeoutError:
            return False
        return True

    await eventually(is_reached)


async def test_of_several_servers_only_one_that_may_be_written_to_will_do(
    store_url: str, sql: Sql
) -> None:
    database = store_url.rpartition("/")[2]
    await sql.execute(f'alter database "{database}" set default_transaction_read_only = on')
    try:
        with pytest.raises(asyncpg.InternalClientError):
            await Servers(among(store_url, "127.0.0.1:1")).connect(timeout=4)
        address = f"{among(store_url, '127.0.0.1:1')}?target_session_attrs=any"
        await (await Servers(address).connect(timeout=4)).close()
    finally:
        await sql.execute("set default_transaction_read_only = off")
        await sql.execute(f'alter database "{database}" reset default_transaction_read_only')


NOWHERE = {
    "postgresql://u@127.0.0.1:1/x": "nothing listens there (ConnectionRefusedError)",
    "postgresql://u@no.such.host.invalid/x": "no such host (gaierror)",
    "postgresql://u@127.0.0.1:1,127.0.0.1:2/x": "nothing listens there (ConnectionRefusedError)",
}


@pytest.mark.parametrize("address", NOWHERE)
async def test_an_address_that_leads_nowhere_is_never_the_contents_fault(address: str) -> None:
    await says_unavailable(address, NOWHERE[address])


async def test_a_connect_timeout_cuts_the_wait_short(
    store_url: str, silent_host: SilentHost
) -> None:
    servers = Servers(f"{among(store_url, silent_host.address)}?connect_timeout=1")
    began = time.monotonic()
    await (await servers.connect(timeout=600)).close()
    assert time.monotonic() - began < 60


async def test_what_the_address_sets_is_set_in_the_session(store_url: str) -> None:
    options = "application_name=shop&options=-c%20lock_timeout%3D7s&search_path=Shop&pgbouncer=true"
    servers = Servers(f"{store_url}?{options}&keepalives=1&connection_limit=1")
    connection = await servers.connect(timeout=10, server_settings={"application_name": "ours"})
    settings = ("application_name", "lock_timeout", "search_path")
    shown = [await connection.fetchval(f"show {name}") for name in settings]
    assert shown == ["shop", "7s", "Shop"]
    assert await connection.fetchval("select count(*) from pg_prepared_statements") == 0
    await connection.close()


async def test_a_database_that_does_not_exist_is_a_store_out_of_reach(store_url: str) -> None:
    words = "no such database (InvalidCatalogNameError 3D000)"
    await says_unavailable(with_database(store_url, "nowhere"), words)


@pytest.mark.parametrize(
    ("sqlstate", "message", "words"),
    [
        ("08P01", "unsupported startup parameter: search_path", "DATABASE_SCHEMA"),
        ("08P01", "no more connections allowed (max_client_conn)", "a pooler in between"),
        ("08P01", "server login has been failing", "a pooler in between"),
        ("57P03", "the database system is starting up", "it is starting"),
    ],
)
def test_a_refusal_at_the_log_in_is_explained(sqlstate: str, message: str, words: str) -> None:
    """PgBouncer sends 08P01 for nearly all of them."""
    error = out_of_reach(asyncpg.PostgresError.new({"C": sqlstate, "M": message}))
    assert words in str(error)
    assert ("DATABASE_SCHEMA" in str(error)) == (words == "DATABASE_SCHEMA")


def test_a_home_or_a_socket_that_is_closed_to_us_is_explained() -> None:
    """As asyncpg raises it where it may not look at ~/.postgresql."""
    assert "see HOME (PermissionError)" in str(out_of_reach(PermissionError(13, "canary")))


async def test_whatever_the_driver_raises_on_an_open_connection_is_a_store_out_of_reach(
    store_url: str,
) -> None:
    for error in (asyncpg.InternalClientError(), asyncpg.InterfaceError("lost"), ConnectionError()):
        with pytest.raises(StorageUnavailable):
            async with own_connection(Servers(store_url)):
                raise error


async def says_unavailable(address: str, words: str) -> None:
    database = Database(address)
    await database.open()
    with pytest.raises(StorageUnavailable) as caught:
        await database.run(lambda connection: connection.fetchval("select 1"))
    assert str(caught.value) == words
    await database.close()

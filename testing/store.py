"""The database of a test run, and what the fixtures do in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from anyio.from_thread import BlockingPortal

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.postgres.migrate import migrate
from adapters.postgres.temporary import temporary_database
from domain.change_log import SubscriptionDesk
from service.bootstrap import operations
from service.bootstrap.settings import read_store_settings
from service.services import Operations
from service.settings import Settings


@contextmanager
def database(portal: BlockingPortal) -> Iterator[str]:
    """A new database on the server of DATABASE_URL, else on an embedded server.

    Both end with the block. Raises `StorageUnavailable` or `EmbeddedPostgresUnavailable`.
    """
    given = read_store_settings().database_url
    if given is None:
        with EmbeddedPostgres() as server:
            yield server.url()
        return
    made = portal.wrap_async_context_manager(temporary_database(given.get_secret_value()))
    with made as address:
        yield address


def schema() -> str | None:
    """`DATABASE_SCHEMA` of the environment or the `.env`."""
    return read_store_settings().database_schema


def bring_to_head(portal: BlockingPortal, address: str, schema: str | None) -> None:
    """Raises `StorageUnavailable`, or `SchemaRefused`."""
    portal.call(migrate, address, schema)


@contextmanager
def opened(portal: BlockingPortal, settings: Settings) -> Iterator[Operations]:
    """What an operator's command works with, in the portal's thread."""
    with portal.wrap_async_context_manager(operations(settings)) as made:
        yield made


def forget_subscriptions(portal: BlockingPortal, operations: Operations) -> None:
    """Handlers of the same name begin anew, and meet no change that an earlier test left."""
    portal.call(_remove_all, operations.store.desk)


async def _remove_all(desk: SubscriptionDesk) -> None:
    for standing in await desk.standings():
        await desk.remove(standing.name)

"""The connection is lost after a commit, before its answer: nobody is told that it was not done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.console_sessions import PostgresConsoleSessions
from adapters.postgres.database import Database, PoolLimits
from adapters.postgres.journal import PostgresJournal
from adapters.postgres.subscriptions import PostgresSubscriptions
from adapters.postgres.users import PostgresUserRepository
from domain.change_log import Progress
from domain.console import ConsoleSession
from domain.errors import StorageUnavailable
from domain.journal import JournalQuery
from domain.subscriptions import AsideState
from domain.sync_user import UnreadableDelivery
from tests.contract.subscribed import FROM_THE_OLDEST, LONG, MAIL, US, aside
from tests.e2e.proxy import Proxy, proxied
from tests.people import at, new_id, observed, user

PATIENT = PoolLimits(size=1, wait=10.0, connect=10.0, deadline=30.0)
HOUR = timedelta(hours=1)


@pytest.fixture
async def network(store_url: str) -> AsyncIterator[Proxy]:
    async with proxied(store_url) as network:
        yield network


@pytest.fixture
async def far(database: Database, network: Proxy) -> AsyncIterator[Database]:
    """The store behind the network. `database` has emptied it."""
    far = Database(network.url, PATIENT)
    await far.open()
    yield far
    await far.close()


async def lost(far: Database, network: Proxy, work: Callable[[], Awaitable[Any]]) -> Any:
    """What `work` returns if the connection is lost once it has begun to answer.

    The statement was prepared by an earlier call, so that its only answer is after the commit.
    """
    network.piece = 1
    await far.run(lambda session: session.fetchval("select 1"))  # the proxy reads bytes from now on
    working = asyncio.ensure_future(work())
    await network.reset_mid_answer()
    return await working


async def test_a_withdrawn_version_is_said_to_be_withdrawn(far: Database, network: Proxy) -> None:
    users, ada = PostgresUserRepository(far), new_id()
    await users.sync(observed(user(ada, updated=900)))
    assert not await users.withdraw_version(ada, at(4))
    assert await lost(far, network, lambda: users.withdraw_version(ada, at(900)))


async def test_a_sign_in_is_kept_and_no_error(far: Database, network: Proxy) -> None:
    sessions = PostgresConsoleSessions(far)
    first, second = (ConsoleSession(key=key, ground="token") for key in (b"1", b"2"))
    await sessions.open(first, HOUR)
    await lost(far, network, lambda: sessions.open(second, HOUR))
    assert await sessions.find(b"2") is not None


async def test_a_dismissal_is_not_said_to_have_found_nothing(far: Database, network: Proxy) -> None:
    journal, wanted = PostgresJournal(far), JournalQuery(error="bug")
    assert await journal.dismiss(wanted) == 0
    await journal.quarantine(UnreadableDelivery(svix_id="msg_q", body=b"?", reason="bug"))
    with pytest.raises(StorageUnavailable):
        await lost(far, network, lambda: journal.dismiss(wanted))
    assert await journal.quarantined() == 0


@pytest.mark.parametrize("name", ["resume", "remove"])
async def test_a_subscription_is_not_said_to_be_missing(
    far: Database, network: Proxy, name: str
) -> None:
    subscriptions = PostgresSubscriptions(far, PostgresChangeLog(far))
    work = getattr(subscriptions, name)
    assert not await work("mail")
    await subscriptions.declare(MAIL)
    await subscriptions.take("mail", US, LONG)
    await subscriptions.pause("mail", US, "answered 410")
    with pytest.raises(StorageUnavailable):
        await lost(far, network, lambda: work("mail"))
    assert not await work("mail")


async def test_what_is_parked_is_not_said_to_have_been_nothing(
    far: Database, network: Proxy
) -> None:
    subscriptions, ada = PostgresSubscriptions(far, PostgresChangeLog(far)), new_id()
    await PostgresUserRepository(far).sync(observed(user(ada)))
    await subscriptions.declare(FROM_THE_OLDEST)
    await subscriptions.take("mail", US, LONG)
    assert await subscriptions.skip("mail") == 0
    parked = [aside(1, ada, AsideState.PARKED)]
    await subscriptions.save("mail", US, Progress(position=1, read=1, aside=parked), LONG)
    with pytest.raises(StorageUnavailable):
        await lost(far, network, lambda: subscriptions.skip("mail"))
    [skipped] = await subscriptions.set_aside("mail", 9)
    assert skipped.state is AsideState.SKIPPING

"""The first view of every page, on a store that has grown."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from adapters.postgres.changes import PostgresChangeLog
from adapters.postgres.console import PostgresConsoleReads
from adapters.postgres.database import Database
from adapters.postgres.subscriptions import PostgresSubscriptions
from domain.subscriptions import Subscription
from service.console.users import CHANGES_SHOWN
from tests.console.visitors import Visitor
from tests.postgres_server import Sql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

USERS, ENTRIES, CHANGES = 100_000, 1_000_000, 20_000
PATIENCE = 2.0
"""Seconds. A page that looks at everything takes many times as long; one that does not, a tenth."""

FILL_USERS = """
insert into users (
    clerk_id, email, external_id, public_metadata, clerk_updated_at, observed_at, digest, synced_by)
select 'user_' || n, 'u' || n || '@example.com', case when n % 2 = 0 then 'ext_' || n end,
    '{}', now(), now(), decode(md5(n::text), 'hex'), 'webhook'
from generate_series(1, $1::integer) as n
"""

FILL_JOURNAL = """
insert into sync_journal (
    svix_id, event_type, clerk_id, source, outcome, received_at, occurred_at, last_received_at)
select 'msg_' || n, 'user.updated', 'user_' || 1 + n % $2::integer, 'webhook',
    case when n = 7 then 'gone' when n % 1000 = 3 then 'stale' else 'updated' end,
    at, at - interval '100 ms', at
from generate_series(1, $1::integer) as n
cross join lateral (select now() - interval '1 s' * ($1 - n)) as moment (at)
"""

FILL_CHANGES = """
insert into user_changes (clerk_id, user_id, kind, changed, source, occurred_at, position)
select 'user_7', id, 'updated', '{public_metadata}', 'webhook', now(), n
from generate_series(1, $1::integer) as n
cross join (select id from users where clerk_id = 'user_7') as of_user
"""

FILL_ALL_CHANGES = """
insert into user_changes (clerk_id, user_id, kind, changed, source, occurred_at, position)
select clerk_id, id, 'updated', '{public_metadata}', 'webhook', now(),
    row_number() over (order by n, clerk_id)
from users cross join generate_series(1, $1::integer) as n
"""

FILL_SET_ASIDE = """
insert into user_changes_set_aside (
    subscription, position, clerk_id, state, attempts, due_at, error)
select 'mail', position, clerk_id,
    case when position <= $1::integer then 'parked' else 'given_up' end, 8, now(), 'bug'
from user_changes where position <= 2 * $1::integer
"""
"""The first changes are of one user each, and no more than one of a user's may be parked."""

VIEWS = (
    "",
    "?window=24h",
    "?window=7d",
    "/deliveries",
    "/deliveries?before=500000",
    "/deliveries?outcome=gone",
    "/deliveries?outcome=created",
    "/deliveries?type=user.deleted",
    "/deliveries?since=5d&until=4d",
    "/deliveries?user=user_7",
    "/deliveries?svix_id=msg_77777",
    "/users/user_7",
    "/users?q=u777@example.com",
    "/users?q=ext_778",
    "/users?q=nobody",
    "/users?q=u77",
    "/users",
    "/drift",
    "/quarantine",
    "/quarantine/replay",
    "/quarantine/dismiss?error=bug",
    "/subscriptions",
    "/subscriptions/mail",
    "/subscriptions/mail/retry",
    "/subscriptions/mail/skip",
    "/subscriptions/mail/rewind?to=oldest",
    "/audit",
)


async def test_no_page_looks_at_everything(
    operator: Visitor, database: Database, sql: Sql, record_property: Callable[[str, object], None]
) -> None:
    await sql.execute(FILL_USERS, USERS, timeout=300)
    await sql.execute(FILL_JOURNAL, ENTRIES, USERS, timeout=300)
    await sql.execute(FILL_ALL_CHANGES, 5, timeout=300)
    subscriptions = PostgresSubscriptions(database, PostgresChangeLog(database))
    await subscriptions.declare(Subscription(name="mail", begin="oldest"))
    await sql.execute(FILL_SET_ASIDE, USERS // 2, timeout=300)
    await sql.execute("analyze users; analyze sync_journal; analyze user_changes")
    slow = []
    for view in VIEWS:
        seconds = [await seconds_of(operator, view) for _ in range(3)]
        record_property(view or "overview", f"{statistics.median(seconds) * 1000:.0f} ms")
        slow += [view] if min(seconds) > PATIENCE else []
    assert slow == []
    # A search that finds nothing says how far it looked, and goes on from there.
    assert "look further back" in (await operator.get("/deliveries?type=user.deleted")).text
    # The one that lies furthest back is found all the same.
    assert "gone" in (await operator.get("/deliveries?outcome=gone")).text.partition("<tbody>")[2]


async def test_the_page_of_a_user_with_many_changes_looks_at_the_newest(
    operator: Visitor, database: Database, sql: Sql, record_property: Callable[[str, object], None]
) -> None:
    await sql.execute(FILL_USERS, 10)
    await sql.execute(FILL_CHANGES, CHANGES)
    subscriptions = PostgresSubscriptions(database, PostgresChangeLog(database))
    await subscriptions.declare(Subscription(name="mail", begin="oldest"))
    assert await subscriptions.rewind("mail", CHANGES)
    await sql.execute("analyze user_changes")
    seconds = min([await seconds_of(operator, "/users/user_7") for _ in range(3)])
    record_property("a user with many changes", f"{seconds * 1000:.0f} ms")
    assert seconds < PATIENCE
    page = (await operator.get("/users/user_7")).text
    assert page.count("<bdi>given up</bdi>") == CHANGES_SHOWN


@pytest.mark.parametrize("step", [timedelta(minutes=30), timedelta(hours=3)])
async def test_of_many_a_part_tells_how_many(database: Database, sql: Sql, step: timedelta) -> None:
    """One a second. Of what is rare, one in a thousand, some are seen."""
    await sql.execute(FILL_JOURNAL, ENTRIES, USERS, timeout=300)
    await sql.execute("analyze sync_journal")
    reads = PostgresConsoleReads(database)
    activity = await reads.activity(steps=48, step=step, until=datetime.now(UTC) + step)
    assert activity.sampled
    whole = [bucket.total / step.total_seconds() for bucket in activity.buckets[1:-2]]
    assert statistics.mean(whole) == pytest.approx(1, rel=0.02)
    assert [bucket for bucket in whole if not 0.7 < bucket < 1.3] == []
    assert sum(bucket.outcomes.get("stale", 0) for bucket in activity.buckets) > 0


async def seconds_of(operator: Visitor, view: str) -> float:
    started = time.perf_counter()
    answer = await operator.get(view)
    assert answer.status_code in (200, 303), answer.text
    return time.perf_counter() - started

"""A bulk import at Clerk: thousands of deliveries at once."""

from collections.abc import Callable

import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import sign_up
from tests.e2e.processes import ServiceProcess
from tests.e2e.truth import differences, unrecorded
from tests.postgres_server import Sql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EVENTS = 5_000
AT_ONCE = 500
SVIX_WAITS = 15.0
"""Seconds, for an answer."""


async def test_of_five_thousand_deliveries_at_once_none_is_lost(
    clerk: ClerkEmulator,
    service: ServiceProcess,
    sql: Sql,
    record_property: Callable[[str, object], None],
) -> None:
    messages = [sign_up(clerk) for _ in range(EVENTS)]
    async with Load(service, iter(messages), senders=AT_ONCE) as load:
        await load.all_sent()
    waits = sorted(one.seconds for one in load.attempts)
    took = max(one.ended for one in load.attempts) - min(one.began for one in load.attempts)
    record_property("a second", round(EVENTS / took))
    record_property("waits, s", f"p50 {waits[EVENTS // 2]:.1f}, longest {waits[-1]:.1f}")
    record_property("put off", len(load.told(Fate.REFUSED)))

    assert {one.status for one in load.attempts} <= {204, 503}
    assert waits[-1] < SVIX_WAITS
    assert all(one.retry_after for one in load.attempts if one.status == 503)
    assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()

    assert await taken_in_the_end(service, load) == set()
    assert await unrecorded(sql, load.svix_ids) == set()
    assert await differences(clerk, sql, load.user_ids) == {}


async def taken_in_the_end(service: ServiceProcess, load: Load) -> set[str]:
    """Send again the deliveries that were refused, as Svix does. Returns those refused again."""
    left = load.told(Fate.REFUSED)
    for _ in range(10):
        again = [one.message for one in load.attempts if one.message.svix_id in left]
        async with Load(service, iter(again)) as load_again:
            await load_again.all_sent()
        left = load_again.told(Fate.REFUSED)
    return left

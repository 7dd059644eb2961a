"""The primary is lost under load, and its synchronous standby takes over."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import lives_of_users
from tests.e2e.processes import environment_for, eventually, running_process
from tests.e2e.standby import Pair, primary_and_standby
from tests.e2e.truth import assert_redelivery_settles_all, unrecorded

DETECTION = 1.0
"""Seconds until the standby is promoted."""
LONGEST_ANSWER = 10.0
FOLLOWS_WITHIN = 15.0


def is_killed(pair: Pair) -> None:
    """It refuses every connection."""
    pair.primary.kill()


def vanishes(pair: Pair) -> None:
    """The primary and its network no longer answer."""
    pair.network.stall()


@pytest.mark.slow
@pytest.mark.parametrize("lost", [is_killed, vanishes])
async def test_the_service_follows_a_failover_by_itself_and_nothing_acknowledged_is_lost(
    lost: Callable[[Pair], None],
    clerk: ClerkEmulator,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    async with (
        primary_and_standby(tmp_path) as pair,
        running_process(environment_for(clerk, pair.url), tmp_path) as service,
    ):
        async with Load(service, lives_of_users(clerk)) as load:
            await load.acknowledged(200)
            await asyncio.to_thread(lost, pair)
            await asyncio.sleep(DETECTION)
            assert await service.status("/healthz") == 200
            await pair.promote()
            promoted = time.monotonic()
            await load.acknowledged(200)
            await eventually(service.is_ready, FOLLOWS_WITHIN)

        assert {one.status for one in load.attempts} <= {204, 503}
        assert all(one.retry_after for one in load.attempts if one.status == 503)
        assert max(one.seconds for one in load.attempts) < LONGEST_ANSWER
        sql = await asyncpg.connect(pair.standby.url())
        try:
            assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()
            await assert_redelivery_settles_all(load, clerk, sql)
        finally:
            await sql.close()

    after = [one.ended for one in load.within(promoted) if one.fate is Fate.ACKNOWLEDGED]
    last_refusal = max(one.ended for one in load.attempts if one.fate is not Fate.ACKNOWLEDGED)
    record_property("seconds from promotion to the first delivery", round(min(after) - promoted, 2))
    record_property("seconds from promotion to the last refusal", round(last_refusal - promoted, 2))
    record_property("deliveries refused", len(load.told(Fate.REFUSED)))
    assert last_refusal - promoted < FOLLOWS_WITHIN

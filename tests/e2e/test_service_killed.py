"""`kill -9` of the service under load."""

import asyncio
from pathlib import Path

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.locks import row_locked, waiting_for_locks
from tests.e2e.messages import lives_of_users, sign_up, update
from tests.e2e.processes import environment_for, eventually, running_process
from tests.e2e.truth import assert_redelivery_settles_all, differences, unrecorded
from tests.postgres_server import Sql


async def test_a_killed_service_has_lost_nothing_it_acknowledged(
    clerk: ClerkEmulator,
    store: str,
    sql: Sql,
    tmp_path: Path,
) -> None:
    """One of its deliveries waits for a locked row, so it is certainly in flight."""
    async with running_process(environment_for(clerk, store), tmp_path) as service:
        arrival = sign_up(clerk)
        assert (await service.deliver(arrival)).status_code == 204
        change = update(clerk, arrival.user_id)
        async with Load(service, lives_of_users(clerk)) as load:
            await load.acknowledged(300)
            async with row_locked(store, arrival.user_id):
                in_hand = asyncio.create_task(service.deliver(change))
                await eventually(lambda: is_at_work(sql))
                await service.kill()
                with pytest.raises(httpx.TransportError):
                    await in_hand

        assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()

        await service.start()
        await assert_redelivery_settles_all(load, clerk, sql)
        assert (await service.deliver(change)).status_code == 204
        assert await differences(clerk, sql, [arrival.user_id]) == {}


async def is_at_work(sql: Sql) -> bool:
    return await waiting_for_locks(sql) == 1

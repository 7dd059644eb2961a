"""`kill -9` of the service under load."""

from pathlib import Path
from typing import Any

import asyncpg

from scripts.clerk_emulator import ClerkEmulator
from tests.e2e.load import Fate, Load
from tests.e2e.messages import lives_of_users
from tests.e2e.processes import environment_for, running_process
from tests.e2e.truth import assert_redelivery_settles_all, unrecorded


async def test_a_killed_service_has_lost_nothing_it_acknowledged(
    clerk: ClerkEmulator,
    store: str,
    sql: "asyncpg.Connection[Any]",
    tmp_path: Path,
) -> None:
    async with running_process(environment_for(clerk, store), tmp_path) as service:
        async with Load(service, lives_of_users(clerk)) as load:
            await load.acknowledged(300)
            await service.kill()

        assert load.told(Fate.AMBIGUOUS), "it was not killed at work"
        assert await unrecorded(sql, load.told(Fate.ACKNOWLEDGED)) == set()

        await service.start()
        await assert_redelivery_settles_all(load, clerk, sql)

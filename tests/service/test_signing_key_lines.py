"""One line tells that the signing keys cannot be fetched, and one that they can again."""

import asyncio
import io

import orjson

from service.jobs import keep_signing_keys
from service.log import line_logger
from tests.simulation.virtual_time import in_virtual_time


class Keys:
    """Keys that can be fetched while `reachable`, and are good for an hour."""

    def __init__(self) -> None:
        self.reachable = False
        self.in_doubt = False
        self._fetched_at: float | None = None

    @property
    def age(self) -> float:
        now = asyncio.get_running_loop().time()
        return float("inf") if self._fetched_at is None else now - self._fetched_at

    @property
    def loaded(self) -> bool:
        return self.age < 3600

    async def load(self) -> None:
        if self.reachable:
            self._fetched_at = asyncio.get_running_loop().time()


@in_virtual_time
async def test_each_trouble_is_told_once_and_so_is_its_end() -> None:
    lines, keys = io.StringIO(), Keys()
    job = asyncio.create_task(keep_signing_keys(keys, line_logger("info", "json", lines)))

    def told() -> list[str]:
        return [orjson.loads(line)["event"] for line in lines.getvalue().splitlines()]

    await asyncio.sleep(60)
    expected = ["signing_keys_unavailable"]
    assert told() == expected
    keys.reachable = True
    await asyncio.sleep(2)
    expected += ["signing_keys_fetched"]
    assert told() == expected
    keys.reachable = False
    await asyncio.sleep(1800)
    expected += ["signing_keys_not_fetched"]
    assert told() == expected
    await asyncio.sleep(3600)
    expected += ["signing_keys_unavailable"]
    assert told() == expected
    keys.reachable, keys.in_doubt = True, True
    await asyncio.sleep(40)
    expected += ["signing_keys_doubted"]
    keys.in_doubt = False
    await asyncio.sleep(40)
    assert told() == [*expected, "signing_keys_fetched"]
    job.cancel()

"""Svix has disabled our endpoint, and no webhook arrives for a day."""

import asyncio

from scripts.clerk_emulator.deliveries import DeliveryStatus
from tests.simulation.scene import WEBHOOKS, Scene, scene
from tests.simulation.virtual_time import in_virtual_time

A_DAY = 24 * 3600


async def a_day_of_silence(here: Scene) -> None:
    """Users are created, changed and deleted, and only those who make requests become known."""
    stays, changes, leaves = [await here.known() for _ in range(3)]
    here.clerk.sender.enable(WEBHOOKS, enabled=False)
    await asyncio.sleep(A_DAY / 2)
    here.clerk.update_user(changes, first_name="Grace")
    here.clerk.delete_user(leaves)
    unseen, seen = (
        here.clerk.create_user(username="unseen"),
        here.clerk.create_user(username="seen"),
    )
    assert (await here.ask(seen["id"])).status == 200
    await asyncio.sleep(A_DAY / 2)
    assert here.rows(stays, unseen["id"], seen["id"]) == 2
    assert set(here.differences()) == {changes, leaves, unseen["id"]}


async def age_of_the_last_delivery(here: Scene) -> float:
    """In seconds, as an alert would compute it."""
    answer, _ = await here.get("/metrics")
    name = "clerk_user_sync_webhook_last_delivery_timestamp_seconds "
    [line] = [line for line in answer.text.splitlines() if line.startswith(name)]
    return here.clerk.clock() / 1000 - float(line.removeprefix(name))


@in_virtual_time
async def test_the_age_of_the_last_delivery_shows_the_silence() -> None:
    async with scene() as here:
        await a_day_of_silence(here)
        assert await age_of_the_last_delivery(here) >= A_DAY


@in_virtual_time
async def test_one_reconcile_repairs_a_day_without_webhooks() -> None:
    async with scene() as here:
        await a_day_of_silence(here)
        await here.operator.reconcile()
        assert here.differences() == {}


@in_virtual_time
async def test_svix_own_replay_makes_it_good_as_well() -> None:
    async with scene() as here:
        await a_day_of_silence(here)
        here.clerk.sender.enable(WEBHOOKS, enabled=True)
        here.clerk.sender.replay(DeliveryStatus.MISSING)
        await here.clerk.sender.settled()
        assert here.differences() == {}
        assert await age_of_the_last_delivery(here) < 1


@in_virtual_time
async def test_what_svix_delivers_after_the_reconcile_changes_nothing() -> None:
    async with scene() as here:
        await a_day_of_silence(here)
        await here.operator.reconcile()
        repaired = here.store.table()
        here.clerk.sender.heal()
        await here.clerk.sender.settled()
        assert here.differences() == {}
        assert [row for row in here.store.table() if row["deleted_at"] is None] == [
            row for row in repaired if row["deleted_at"] is None
        ]

"""The process is killed at every step of every path, one after the other, none left out.

Whatever the step, the store holds all or none of a user's row, its journal entry and its change, and doing
the same once more ends as if nothing had happened.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from domain.backfill import CHECKPOINT
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.e2e.messages import Message, deletion, sign_up, update
from tests.e2e.processes import eventually
from tests.e2e.truth import differences, states_of_sessions
from tests.e2e.victims import EVERY_STEP, NEVER, Victims, dying
from tests.postgres_server import Sql
from tests.running import Service, running_service

SOME_STEPS = range(40, 80, 6)


@dataclass(frozen=True)
class Stage:
    """The setting of a scene, and what is checked afterwards. `survivor` is another replica."""

    clerk: ClerkEmulator
    victims: Victims
    survivor: Service
    sql: Sql

    async def deliver(self, message: Message) -> None:
        """Post the delivery to the survivor."""
        answer = await self.survivor.deliver(message.body, svix_id=message.svix_id)
        assert answer.status_code == 204

    async def both_or_neither(self, user_id: str, entry: str) -> bool:
        """Whether the user is as at Clerk, which goes with the entry, and a deletion with erasure."""
        await eventually(self.nobody_is_at_work)
        written = await differences(self.clerk, self.sql, [user_id]) == {}
        entries = await self.sql.fetch(
            f"select outcome from sync_journal where clerk_id = $1 and {entry}", user_id
        )
        assert len(entries) == written
        await self._assert_changes_as_journaled(user_id)
        if entries and entries[0]["outcome"] == "deleted":
            assert await self._bodies_of(user_id) == 0
        return written

    async def settled(self, user_id: str) -> list[str]:
        """The journal entries of the user, whose row must equal Clerk's."""
        assert await differences(self.clerk, self.sql, [user_id]) == {}
        await self._assert_changes_as_journaled(user_id)
        entries = await self.sql.fetch(
            "select source, outcome from sync_journal where clerk_id = $1 order by id", user_id
        )
        return [f"{entry['source']} {entry['outcome']}" for entry in entries]

    async def _assert_changes_as_journaled(self, user_id: str) -> None:
        """One change for each entry that moved the user, and no other."""
        moved = """
            select outcome from sync_journal
            where clerk_id = $1 and outcome in ('created', 'updated', 'deleted') order by id
        """
        recorded = "select kind from user_changes where clerk_id = $1 order by id"
        journaled = [row[0] for row in await self.sql.fetch(moved, user_id)]
        assert [row[0] for row in await self.sql.fetch(recorded, user_id)] == journaled

    async def _bodies_of(self, user_id: str) -> int:
        number: int = await self.sql.fetchval(
            "select count(*) from sync_journal where clerk_id = $1 and body is not null", user_id
        )
        return number

    async def nobody_is_at_work(self) -> bool:
        """Wait until the server has ended the killed process's sessions."""
        return set(await states_of_sessions(self.sql)) <= {"idle"}


@pytest.fixture
async def stage(store_url: str, signing_key: RSAPrivateKey) -> AsyncIterator[Stage]:
    """A Clerk instance without other users, and an empty store."""
    async with (
        running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk,
        running_service(clerk, store_url, clerk_rate_limit=100_000) as survivor,
        dying(clerk, store_url) as victims,
    ):
        sql = await asyncpg.connect(store_url)
        yield Stage(clerk, victims, survivor, sql)
        await sql.close()


async def of_a_new_user(stage: Stage) -> Message:
    return sign_up(stage.clerk)


async def of_an_update(stage: Stage) -> Message:
    arrival = sign_up(stage.clerk)
    await stage.deliver(arrival)
    return update(stage.clerk, arrival.user_id)


async def of_a_deletion(stage: Stage) -> Message:
    arrival = sign_up(stage.clerk)
    await stage.deliver(arrival)
    return deletion(stage.clerk, arrival.user_id)


DELIVERIES = {
    "webhook created": of_a_new_user,
    "webhook updated": of_an_update,
    "webhook deleted": of_a_deletion,
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("outcome", DELIVERIES)
async def test_a_webhook_killed_at_any_step_leaves_both_or_neither_and_its_redelivery_completes_it(
    outcome: str, stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    deaths = await kill_webhooks(stage, outcome, EVERY_STEP)
    assert_both_kinds(deaths, record_property)


async def test_a_deletion_killed_at_some_steps_leaves_both_or_neither_and_its_redelivery_ends_it(
    stage: Stage,
) -> None:
    assert await kill_webhooks(stage, "webhook deleted", SOME_STEPS)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_poison_killed_at_any_step_is_kept_or_not_and_its_redelivery_ends_it(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    deaths = []
    for step in EVERY_STEP:
        svix_id = f"msg_poison_{step}"
        killed = await stage.victims.play("webhook", step, svix_id=svix_id, body="poison")
        await eventually(stage.nobody_is_at_work)
        kept = "select outcome, deliveries from sync_journal where svix_id = $1"
        written = await stage.sql.fetch(kept, svix_id)
        assert (await stage.survivor.deliver(b"poison", svix_id=svix_id)).status_code == 202
        (entry,) = await stage.sql.fetch(kept, svix_id)
        assert tuple(entry) == ("quarantined", 1 + len(written))
        if not killed:
            break
        deaths.append(bool(written))
    assert_both_kinds(deaths, record_property)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_first_request_killed_at_any_step_leaves_both_or_neither_and_the_next_one_ends_it(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    deaths = []
    for step in EVERY_STEP:
        user_id = sign_up(stage.clerk).user_id
        token = stage.clerk.session_token(user_id)
        killed = await stage.victims.play("request", step, token=token)
        written = await stage.both_or_neither(user_id, "source = 'jit'")
        assert (await stage.survivor.me(token)).status_code == 200
        assert await stage.settled(user_id) == ["jit created"]
        if not killed:
            break
        deaths.append(written)
    assert_both_kinds(deaths, record_property)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_backfill_killed_at_any_step_leaves_both_or_neither_and_the_next_one_ends_it(
    stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    people = [sign_up(stage.clerk).user_id for _ in range(5)]
    deaths = []
    for step in EVERY_STEP:
        await stage.sql.execute(
            "delete from users; delete from sync_journal; delete from user_changes"
        )
        await stage.sql.execute("delete from sync_checkpoints where name = $1", CHECKPOINT)
        killed = await stage.victims.play("backfill", step)
        written = [await stage.both_or_neither(user_id, "true") for user_id in people]
        assert not await stage.victims.play("backfill", NEVER)
        for user_id in people:
            assert await stage.settled(user_id) == ["backfill created"]
        assert not await stage.sql.fetch("select from sync_checkpoints where name = $1", CHECKPOINT)
        if not killed:
            break
        deaths.append(sum(written))
    record_property("steps killed at", len(deaths))
    assert set(deaths) == {0, 2, 4, 5}, "a death after each of the pages"


def assert_both_kinds(
    deaths: Sequence[bool], record_property: Callable[[str, object], None]
) -> None:
    """Whether something was written, for each step."""
    record_property("steps killed at", len(deaths))
    record_property("of which written and not answered", sum(deaths))
    assert set(deaths) == {True, False}, "a death before the commit, and one after it"


async def kill_webhooks(stage: Stage, outcome: str, steps: Iterable[int]) -> list[bool]:
    """For each kill, whether the delivery had been written."""
    deaths = []
    for step in steps:
        message = await DELIVERIES[outcome](stage)
        told = {"svix_id": message.svix_id, "body": message.body.decode()}
        killed = await stage.victims.play("webhook", step, **told)
        written = await stage.both_or_neither(message.user_id, f"svix_id = '{message.svix_id}'")
        await stage.deliver(message)
        journal = await stage.settled(message.user_id)
        assert journal.count(outcome) == 1
        assert len(journal) <= 2
        if not killed:
            break
        deaths.append(written)
    return deaths

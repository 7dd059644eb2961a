"""`POLL_EVERY`: without any webhook the table follows Clerk, by one replica at a time."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from io import StringIO
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.postgres.checkpoints import PostgresCheckpoints
from adapters.postgres.database import Database
from domain.ports import Exclusive
from domain.reconcile import LAST_RECENT, WATERMARK
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.comparisons import poll_regularly, reconcile_regularly
from service.jobs import OPERATOR_LOCK, Jobs
from service.log import line_logger
from service.metrics import Metrics
from service.services import Operations
from tests.commands.arrivals import happened
from tests.commands.commands import Operator
from tests.commands.scenes import drift, ids_of, reconcile_of, run_backfill
from tests.e2e.processes import eventually
from tests.fakes.exclusive import InMemoryExclusive
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import REFUSED, running_service
from tests.simulation.scene import WEBHOOKS, Scene, scene
from tests.simulation.virtual_time import in_virtual_time, live_through, true_time

EVERY = timedelta(seconds=10)
FULL_EVERY = timedelta(minutes=10)


class Replica:
    """A service that polls every ten seconds."""

    def __init__(self, here: Scene, exclusive: Exclusive) -> None:
        self._lines = StringIO()
        log = line_logger("info", "json", self._lines)
        self.jobs = Jobs(Metrics(), log)
        common = (here.operator.reconciliation(), exclusive, here.store)
        self._poll = partial(poll_regularly, *common, every=EVERY, log=log)
        self._compare = partial(reconcile_regularly, *common, every=FULL_EVERY, log=log)
        self.jobs.start("poll", self._poll)

    def compare_in_full(self) -> None:
        """The polls from now on: within a minute, and then every ten."""
        self.jobs.start("reconcile", self._compare)

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = map(json.loads, self._lines.getvalue().splitlines())
        return [line for line in lines if line["event"] == event]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("create", "update", "ban", "seen late", "many at once", "delete")),
        st.integers(0, 10**6),
        st.sampled_from((0.0, 0.001, 3.0, 10.0, 25.0)),
    ),
    min_size=1,
    max_size=20,
)


def step(here: Scene, what: str, which: int) -> None:
    """Change users at Clerk. Without a pause several users get the same `updated_at`."""
    clerk, ids = here.clerk, [user.id for user in here.clerk.users]
    one = ids[which % len(ids)]
    right = clerk.clock
    if what == "seen late":
        clerk.clock = lambda: true_time() - 30_000
    if what == "delete" and len(ids) > 1:
        clerk.delete_user(one)
    elif what == "update":
        clerk.update_user(one, first_name=f"name {which}")
    elif what == "ban":
        clerk.ban_user(one)
    else:
        for _ in range(80 if what == "many at once" else 1):
            clerk.create_user(email_address=[f"{new_id()}@example.com"])
    clerk.clock = right


@settings(max_examples=25)
@given(steps=STEPS)
def test_whatever_happens_the_table_ends_as_clerk_is(steps: list[tuple[str, int, float]]) -> None:
    """The changes happen during polls, of which a page takes up to nine seconds."""

    async def life() -> None:
        async with scene(latencies=(0.0, 0.3, 4.5)) as here:
            here.clerk.sender.enable(WEBHOOKS, enabled=False)
            replica = Replica(here, InMemoryExclusive())
            for what, which, pause in steps:
                step(here, what, which)
                await asyncio.sleep(pause)
            await asyncio.sleep(120)
            unnoticed = set(here.differences())
            assert not unnoticed & {user.id for user in here.clerk.users}
            replica.compare_in_full()
            await asyncio.sleep(120)
            assert here.differences() == {}
            assert not replica.lines("job_failed")
            await replica.jobs.close()

    live_through(life())


@in_virtual_time
async def test_an_update_that_is_dated_ahead_hides_no_later_one() -> None:
    async with scene() as here:
        here.clerk.sender.enable(WEBHOOKS, enabled=False)
        replica = Replica(here, InMemoryExclusive())
        right, here.clerk.clock = here.clerk.clock, lambda: true_time() + 240_000
        here.clerk.create_user(email_address=["ahead@example.com"])
        here.clerk.clock = right
        await asyncio.sleep(15)
        here.clerk.create_user(email_address=["later@example.com"])
        await asyncio.sleep(60)
        assert here.differences() == {}
        await replica.jobs.close()


def polls(here: Scene) -> int:
    return here.asked.count("/v1/users")


@in_virtual_time
async def test_two_replicas_poll_as_often_as_one_and_the_other_takes_over() -> None:
    async with scene() as here:
        exclusive = InMemoryExclusive()
        one, other = Replica(here, exclusive), Replica(here, exclusive)
        await asyncio.sleep(90)  # until no user was updated lately
        here.asked.clear()
        await asyncio.sleep(600)
        assert 55 <= polls(here) <= 62
        await one.jobs.close()
        here.asked.clear()
        await asyncio.sleep(600)
        assert 55 <= polls(here) <= 62
        await other.jobs.close()


@in_virtual_time
async def test_a_poll_waits_for_no_operator() -> None:
    async with scene() as here:
        exclusive = InMemoryExclusive()
        replica = Replica(here, exclusive)
        async with exclusive.hold(OPERATOR_LOCK, "an operator"):
            await asyncio.sleep(60)
            assert polls(here) > 4
        await replica.jobs.close()


@in_virtual_time
async def test_a_user_who_cannot_be_read_holds_up_nobody_and_is_told_once() -> None:
    async with scene() as here:
        here.clerk.sender.enable(WEBHOOKS, enabled=False)
        replica = Replica(here, InMemoryExclusive())
        for number in range(700):
            here.clerk.create_user(email_address=[f"{number}@example.com"])
        unreadable = here.clerk.create_user(email_address=["nul@example.com"])["id"]
        here.clerk.edit_user(unreadable, first_name="\x00")
        await asyncio.sleep(600)
        here.asked.clear()
        await asyncio.sleep(600)
        # One page each: the walk does not go back to the beginning for one user's sake.
        assert polls(here) <= 62
        assert set(here.differences()) == {unreadable}
        assert [line["user_id"] for line in replica.lines("user_unreadable")] == [unreadable]
        await replica.jobs.close()


async def test_a_service_that_no_webhook_reaches_follows_clerk(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    """Without a webhook secret, through an outage of Clerk, and deletions too."""
    ada = clerk.create_user(email_address=["ada@example.com"])["id"]
    clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT, times=1))
    without: dict[str, Any] = {"clerk_webhook_signing_secret": ()}
    async with running_service(
        clerk, store_url, poll_every=1, reconcile_every=1, **without
    ) as service:

        async def in_agreement() -> bool:
            return bool(ids_of(clerk)) and await drift(clerk, sql) == {}

        await eventually(in_agreement)
        assert await service.metric("job_failures_total", name="poll") <= 1
        clerk.update_user(ada, first_name="Augusta")
        clerk.create_user(email_address=["grace@example.com"])
        await eventually(in_agreement)
        clerk.delete_user(ada)
        await eventually(in_agreement)
        assert await service.metric("poll_last_success_timestamp_seconds") > 0
        assert await service.metric("poll_interval_seconds") == 1
        refused = await service.deliver(b"{}")
        assert (refused.status_code, refused.json()) == (400, REFUSED)


async def test_the_first_poll_counts_as_a_backfill_and_welcomes_nobody(
    clerk: ClerkEmulator, available: Operations, sql: Sql
) -> None:
    clerk.create_user(email_address=["ada@example.com"])
    await reconcile_of(available, repair=True, insist=False).recent()
    clerk.create_user(email_address=["grace@example.com"])
    await reconcile_of(available, repair=True, insist=False).recent()
    changes = await sql.fetch("select kind, source from user_changes order by id")
    assert [tuple(row) for row in changes] == [("created", "backfill"), ("created", "reconcile")]


async def test_a_poll_without_news_is_two_calls(
    clerk: ClerkEmulator, available: Operations
) -> None:
    right, clerk.clock = clerk.clock, lambda: right() - 3_600_000
    clerk.create_users(40)
    clerk.clock = right
    await run_backfill(available)
    await available.store.checkpoints.save(WATERMARK, datetime.now(UTC).isoformat())
    clerk.calls.clear()
    instance = clerk.config.instance_id
    await reconcile_of(available, repair=True, insist=False, instance_id=instance).recent()
    assert clerk.calls.count() == 2


async def states(operator: Operator, **settings: Any) -> dict[str, tuple[str, str]]:
    ended = await operator.run("doctor", "--json", **settings)
    return {one["about"]: (one["state"], one["words"]) for one in ended.records}


async def test_doctor_tells_no_webhooks_and_polls_from_webhooks_that_do_not_arrive(
    operator: Operator, database: Database, sql: Sql
) -> None:
    await happened(database, "user.created")
    await sql.execute("update users set clerk_created_at = now()")
    await sql.execute(
        "update sync_journal set source = 'jit', svix_id = null, "
        "received_at = now() - interval '1 hour'"
    )
    silent = await states(operator)
    assert (silent["webhooks"][0], silent["last_delivery"][0]) == ("bad", "warn")
    assert "polling" not in silent
    polls = {"POLL_EVERY": "10", "RECONCILE_EVERY": "3600", "CLERK_WEBHOOK_SIGNING_SECRET": ""}
    before = await states(operator, **polls)
    assert before["polling"] == ("warn", "the first poll of Clerk has not ended yet")
    await PostgresCheckpoints(database).save(LAST_RECENT, "")
    polled = await states(operator, **polls)
    assert polled["webhooks"] == ("ok", "no webhook is needed: Clerk is polled")
    assert polled["last_delivery"][0] == polled["polling"][0] == "ok"
    await sql.execute("update sync_checkpoints set saved_at = now() - interval '5 minutes'")
    late = await states(operator, **polls)
    words = "Clerk was last polled 5 min ago, though POLL_EVERY is 10 s"
    assert late["polling"] == ("bad", words)
    assert late["webhooks"][0] == "ok"


async def test_doctor_says_that_polls_do_not_notice_deletions(operator: Operator) -> None:
    doubts = (await states(operator, POLL_EVERY="10"))["configuration"]
    assert doubts == (
        "warn",
        "polls do not notice deletions: set RECONCILE_EVERY beside POLL_EVERY",
    )
    without = {"POLL_EVERY": "10", "RECONCILE_EVERY": "3600"}
    assert (await states(operator, **without))["configuration"][0] == "ok"


async def test_silence_degrades_nothing_and_a_poll_that_does_not_come_does(
    clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    person = clerk.create_user(email_address=["ada@example.com"])["id"]
    async with running_service(clerk, store_url, poll_every=3600) as service:
        await service.me(clerk.session_token(person))
        await eventually(lambda: is_empty(service.degraded))
        await sql.execute("update sync_journal set received_at = now() - interval '20 minutes'")
        assert await service.degraded() == []
        assert await service.metric("webhook_silence_users") == 0
        await sql.execute("update sync_checkpoints set saved_at = now() - interval '1 day'")
        assert await service.degraded() == ["polling"]


async def is_empty(asked: Callable[[], Awaitable[list[str]]]) -> bool:
    return await asked() == []


async def test_a_delivery_cannot_be_posted_on_without_a_secret(operator: Operator) -> None:
    ended = await operator.run(
        "journal",
        "--post",
        "http://127.0.0.1:1",
        POLL_EVERY="10",
        CLERK_WEBHOOK_SIGNING_SECRET="",
    )
    assert (ended.code, "REPLAY_SIGNING_SECRET" in ended.err) == (78, True)

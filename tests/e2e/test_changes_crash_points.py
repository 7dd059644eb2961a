"""A process that delivers changes is killed at every step, one after the other, none left out.

Whatever the step, nothing counts as delivered that was not, and the process that runs the
subscription next delivers the rest, each user's in order.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, running_emulator
from tests.adapters.push.receiver import Receiver, receiving
from tests.e2e.change_handlers import EVERY_SOURCE
from tests.e2e.dying import LONGER_THAN_A_SAVE
from tests.e2e.effects import Effect, Fact, recorded, repetitions
from tests.e2e.messages import sign_up, update
from tests.e2e.processes import eventually
from tests.e2e.push_receiver import SECRET
from tests.e2e.truth import states_of_sessions
from tests.e2e.victims import EVERY_STEP, NEVER, Victims, dying
from tests.postgres_server import Sql
from tests.running import Service, running_service

FIVE_SECONDS_LATER = "update user_change_subscriptions set held_until = clock_timestamp()"
"""The lease of whoever was killed has ended."""


@dataclass(frozen=True)
class Stage:
    """`file` has the effects of a handler, and `receiver` those of a push."""

    clerk: ClerkEmulator
    writer: Service
    victims: Victims
    sql: Sql
    receiver: Receiver
    file: Path
    store: str

    async def play(self, scene: str, step: int) -> bool:
        """Whether it was killed at that step. Nobody holds the subscription afterwards."""
        name, _, mood = scene.partition(" that ")
        told = {"effects": str(self.file), "store": self.store, "fails_at_first": "no"}
        if mood:
            told["fails_at_first"] = "yes"
        killed = await self.victims.play(name, step, **told)
        await eventually(self._nobody_is_at_work)
        await self.sql.execute(FIVE_SECONDS_LATER)
        return killed

    async def two_changes(self) -> str:
        """Of one user, whose id is returned."""
        arrival = sign_up(self.clerk)
        for message in (arrival, update(self.clerk, arrival.user_id)):
            answer = await self.writer.deliver(message.body, svix_id=message.svix_id)
            assert answer.status_code == 204
        return arrival.user_id

    def effects(self) -> list[Effect]:
        lines = [line.split() for line in self.file.read_text().splitlines()]
        pushed = [json.loads(body)["data"] for _, body in self.receiver.got]
        return [
            *(Effect(one, Fact(int(at), kind), True) for one, at, kind in _worked(lines)),
            *(Effect(o["clerk_id"], Fact(o["position"], o["kind"]), True) for o in pushed),
        ]

    async def counted_as_delivered(self, user_id: str) -> set[int]:
        """Positions that no process would deliver again."""
        counted = """
            select position from user_changes as change
            where clerk_id = $1 and position <= (select position from user_change_subscriptions)
                and not exists (
                    select from user_changes_set_aside as aside
                    where aside.clerk_id = change.clerk_id and aside.position <= change.position
                )
        """
        return {row[0] for row in await self.sql.fetch(counted, user_id)}

    async def _nobody_is_at_work(self) -> bool:
        """The server has ended the sessions of the killed process."""
        return set(await states_of_sessions(self.sql)) <= {"idle"}


def _worked(lines: list[list[str]]) -> list[list[str]]:
    return [line for line in lines if line[0] != "failed"]


@pytest.fixture
async def stage(
    store_url: str, sql: Sql, signing_key: RSAPrivateKey, tmp_path: Path
) -> AsyncIterator[Stage]:
    file = tmp_path / "effects"
    file.touch()
    async with (
        running_emulator(EmulatorConfig(rate_limit=None), signing_key=signing_key) as clerk,
        running_service(clerk, store_url) as writer,
        receiving() as receiver,
        dying(clerk, store_url, CHANGES_PUSH=_crm(receiver), CHANGES_PUSH_PRIVATE="1") as victims,
    ):
        receiver.pause = LONGER_THAN_A_SAVE
        yield Stage(clerk, writer, victims, sql, receiver, file, store_url)


def _crm(receiver: Receiver) -> str:
    crm = {"name": "crm", "url": receiver.url, "secrets": [SECRET], "begin": "oldest"}
    return json.dumps([crm])


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scene", ["handler", "handler that fails at first", "push"])
async def test_whoever_delivers_is_killed_at_any_step_and_the_next_one_delivers_the_rest(
    scene: str, stage: Stage, record_property: Callable[[str, object], None]
) -> None:
    deaths: Counter[tuple[int, int]] = Counter()
    for step in EVERY_STEP:
        user_id = await stage.two_changes()
        killed = await stage.play(scene, step)
        done = {one.fact.position for one in stage.effects() if one.clerk_id == user_id}
        counted = await stage.counted_as_delivered(user_id)
        assert counted <= done, f"killed at step {step}"
        assert not await stage.play(scene, NEVER)
        if not killed:
            break
        deaths[len(done), len(counted)] += 1
    repeated = repetitions(stage.effects(), await recorded(stage.sql, EVERY_SOURCE))
    for (done_by_then, noted), number in deaths.items():
        record_property(f"{done_by_then} done, {noted} noted", number)
    record_property("effects repeated", repeated)
    assert {(0, 0), (2, 2)} < deaths.keys(), "deaths before the delivery, and after it was noted"
    assert any(done > noted for done, noted in deaths), "and between the two"

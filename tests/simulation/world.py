"""Clerk, Svix, a network, two replicas of the service, an operator and a store, in one loop.

Only the network between them is simulated. The emulator, our whole application with its verification
and translation, our Clerk client and the use cases are the real ones.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import httpx

from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, Endpoint
from scripts.clerk_emulator.deliveries import DeliveryStatus
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from scripts.clerk_emulator.params import new_user
from scripts.clerk_emulator.plans import DeliveryPlan, FaultPlan
from tests.e2e.truth import at_clerk, in_our_table
from tests.running import bearer
from tests.simulation.fortune import Fortune
from tests.simulation.instance import INSTANCE, signing_key
from tests.simulation.laws import Laws
from tests.simulation.operator import Operator
from tests.simulation.plans import Deed, Plan, Step
from tests.simulation.replica import Replica
from tests.simulation.stores import Store
from tests.simulation.virtual_time import true_time
from tests.simulation.wires import ClerkWire, StoreWire, SvixWire

FAILURES = (
    ApiFault(kind=FaultKind.ERROR, status=503),
    ApiFault(kind=FaultKind.RATE_LIMIT, retry_after="1"),
    ApiFault(kind=FaultKind.HTML, status=200),
    ApiFault(kind=FaultKind.WRONG_USER),
    ApiFault(kind=FaultKind.TRUNCATED),
)
LONGEST_SLOWNESS = 2.5
A_WEEK = 7 * 24 * 3600.0


class World:
    """Executes a plan."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.fortune = Fortune(plan.chance)
        self.laws = Laws(store)
        self._plan = plan
        self._store = store
        self._svix = SvixWire(self.fortune, self.laws, lost=plan.misfortune / 3)
        self.clerk = self._make_clerk()
        self._network = httpx.ASGITransport(self.clerk.app)
        self._replicas = [self._make_replica(name) for name in ("one", "two")]
        self._svix.replicas = self._replicas
        self._operator = self._make_operator()
        self._people: list[str] = []
        self._callers: list[asyncio.Task[int | None]] = []
        self._deeds = self._make_deeds()

    async def live(self) -> None:
        """Execute every step of the plan."""
        await self.clerk.start()
        for one in self._replicas:
            one.start()
        for step in self._plan.steps:
            await asyncio.sleep(step.pause)
            self.fortune.note(step.deed)
            self._deeds[step.deed](step)

    async def heal(self) -> None:
        """End all failures. Some messages are lost for good; Svix delivers the others."""
        self.fortune.restore()
        self.clerk.faults.clear()
        self._lose()
        self.clerk.sender.heal()
        await self.clerk.sender.settled(A_WEEK)
        await asyncio.gather(*self._callers, self._operator.finished())
        await asyncio.sleep(120)
        await self._welcome_a_newcomer()
        await self._operator.reconcile()
        await self._answer_everybody()

    async def replay(self) -> None:
        await self._operator.replay()

    async def end(self) -> None:
        await self.clerk.stop()

    def differences(self) -> dict[str, Any]:
        """The users whose contents at Clerk and in our table differ.

        A user who is not at Clerk must be a tombstone or have no row.
        """
        ours = {row["clerk_id"]: in_our_table(row) for row in self._store.table()}
        looks = {user_id: at_clerk(self.clerk, user_id) for user_id in {*self._people, *ours}}
        return {
            user_id: (look, ours.get(user_id))
            for user_id, look in looks.items()
            if ours.get(user_id) != look
        }

    async def _welcome_a_newcomer(self) -> None:
        """Serve a user whose webhook is lost."""
        self.clerk.sender.plans.for_next(DeliveryPlan(drop=True))
        self._sign_up()
        await self._answer(self._people[-1])

    async def _answer_everybody(self) -> None:
        for user_id in self._people:
            await self._answer(user_id)

    async def _answer(self, user_id: str) -> None:
        user = self.clerk.users.find(user_id)
        status = await self._me(self._replicas[0], user_id)
        self.laws.healed_request_is_answered(
            status, at_clerk=user is not None, banned=user is not None and user.banned
        )

    def _lose(self) -> None:
        messages = self.clerk.sender.messages
        for svix_id, message in list(messages.items()):
            dropped = all(one.status is DeliveryStatus.MISSING for one in message.deliveries)
            if dropped and self.fortune.befalls(self._plan.loss):
                self.fortune.note("lost for good", svix_id)
                del messages[svix_id]

    # Parts

    def _make_clerk(self) -> ClerkEmulator:
        config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
        clerk = ClerkEmulator(
            config, clock=self._clerks_time, signing_key=signing_key(), transport=self._svix
        )
        clerk.sender.add_endpoint(
            Endpoint(url="http://service/webhooks/clerk", secrets=config.webhook_secrets)
        )
        misfortune = self._plan.misfortune
        clerk.sender.plans.from_seed(
            FaultPlan(
                seed=self._plan.chance,
                drop=misfortune,
                repeat=misfortune,
                delay=misfortune * 2,
                reorder=misfortune,
                longest_delay=600,
            )
        )
        return clerk

    def _clerks_time(self) -> int:
        return true_time() - round(self._plan.skew * 1000)

    def _make_replica(self, name: str) -> Replica:
        wire = ClerkWire(
            self._network, self.fortune, lambda path: self.laws.clerk_is_asked(name, path)
        )
        return Replica(name, self.clerk, wire, self._store_wire())

    def _make_operator(self) -> Operator:
        wire = ClerkWire(self._network, self.fortune)
        return Operator(self.clerk, wire, self._store_wire(), self.fortune)

    def _store_wire(self) -> StoreWire:
        return StoreWire(self._store, self.fortune, self.laws.look)

    # Events

    def _make_deeds(self) -> Mapping[Deed, Callable[[Step], object]]:
        operator = self._operator
        return {
            Deed.SIGN_UP: lambda _: self._sign_up(),
            Deed.CHANGE: self._change,
            Deed.CHANGE_WITHOUT_A_TRACE: self._change_without_a_trace,
            Deed.BAN_OR_UNBAN: self._ban_or_unban,
            Deed.LEAVE: self._leave,
            Deed.ASK: self._ask,
            Deed.ASK_SLOWLY: self._ask_slowly,
            Deed.KILL: self._kill,
            Deed.CLERK_FAILS: self._clerk_fails,
            Deed.CLERK_OUT_OF_REACH: lambda step: self.fortune.cut_off("clerk", step.seconds),
            Deed.STORE_OUT_OF_REACH: lambda step: self.fortune.cut_off("store", step.seconds),
            Deed.BACKFILL: lambda _: operator.start(operator.backfill()),
            Deed.RECONCILE: lambda _: operator.start(operator.reconcile()),
            Deed.RECONCILE_RECENT: lambda _: operator.start(operator.reconcile_recent()),
            Deed.REPLAY: lambda _: operator.start(operator.replay()),
            Deed.FORGET_BODIES: lambda _: operator.start(operator.forget_bodies()),
        }

    def _sign_up(self) -> None:
        number = len(self._people) + 1
        fresh = new_user({"email_address": [f"person{number}@example.com"]}, self.clerk.clock())
        # Ids in order: whatever is sorted by id comes out the same in every run.
        user = self.clerk.users.add(replace(fresh, id=f"user_{number:027}"))
        self.clerk._announce("user.created", user)
        self._people.append(user.id)
        self._record(user.id)

    def _change(self, step: Step) -> None:
        if user_id := self._somebody_at_clerk(step):
            number = step.where
            self.clerk.update_user(
                user_id,
                first_name=f"Name {number}",
                last_name=None if number % 2 else "Lovelace",
                external_id=f"{user_id} {number}",
            )
            self._record(user_id)

    def _change_without_a_trace(self, step: Step) -> None:
        user_id = self._somebody_at_clerk(step)
        user = self.clerk.users.find(user_id) if user_id else None
        if user:
            changed = replace(user, public_metadata={"score": step.where})
            self.clerk.users.remove(user)
            self.clerk._announce("user.updated", self.clerk.users.add(changed))
            self._record(user.id)

    def _ban_or_unban(self, step: Step) -> None:
        if user_id := self._somebody_at_clerk(step):
            self.clerk.edit_user(user_id, banned=step.where % 2 == 0)
            self._record(user_id)

    def _leave(self, step: Step) -> None:
        if user_id := self._somebody_at_clerk(step):
            self.clerk.delete_user(user_id)

    def _ask(self, step: Step) -> None:
        if self._people:
            user_id = self._people[-1 - step.who % len(self._people)]
            replica = self._replicas[step.where % len(self._replicas)]
            self._callers.append(asyncio.create_task(self._me(replica, user_id)))

    def _ask_slowly(self, step: Step) -> None:
        seconds = min(step.seconds, LONGEST_SLOWNESS)
        self.clerk.faults.add(ApiFault(kind=FaultKind.SLOW, on="GetUser", seconds=seconds, times=1))
        self._ask(step)

    def _kill(self, step: Step) -> None:
        """Kill a replica or the operator's commands."""
        victims: list[Operator | Replica] = [self._operator, *self._replicas]
        victims[step.where % len(victims)].kill()

    def _clerk_fails(self, step: Step) -> None:
        fault = FAILURES[step.who % len(FAILURES)]
        self.clerk.faults.add(fault.model_copy(update={"times": 1 + step.where % 6}))

    def _record(self, user_id: str) -> None:
        """Record the contents that the user has from the event's time on."""
        look = at_clerk(self.clerk, user_id)
        assert look is not None
        now = max(self.clerk.clock(), self.clerk.users.get(user_id).updated_at)
        self.laws.annals.write(user_id, now, look)

    def _somebody_at_clerk(self, step: Step) -> str | None:
        present = [one for one in self._people if self.clerk.users.find(one)]
        return present[-1 - step.who % len(present)] if present else None

    async def _me(self, replica: Replica, user_id: str) -> int | None:
        """The status of the answer; None without an answer."""
        token = self.clerk.session_token(user_id)
        request = httpx.Request("GET", "http://service/v1/me", headers=bearer(token))
        was_gone = self.laws.is_gone(user_id)
        stranger = self.laws.request_begins(replica.name, user_id)
        try:
            answer = await replica.answer(request)
            document = await _document(answer)
        except httpx.TransportError:
            self.fortune.note("no answer", user_id)
            return None
        finally:
            self.laws.request_ends(replica.name, user_id, stranger=stranger)
        self.fortune.note("me", user_id, answer.status_code, document.get("code"))
        self.laws.request_is_answered(
            answer.status_code,
            document,
            stranger=stranger,
            was_gone=was_gone,
            at_clerk=self.clerk.users.find(user_id) is not None,
        )
        return answer.status_code


async def _document(answer: httpx.Response) -> dict[str, Any]:
    await answer.aread()
    document: dict[str, Any] = answer.json()
    return document

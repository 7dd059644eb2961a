"""One replica and a Clerk without randomness, for tests of a single failure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from domain.user import UserId
from scripts.clerk_emulator import ClerkEmulator, EmulatorConfig, Endpoint
from scripts.clerk_emulator.limits import RateLimit
from tests.e2e.truth import at_clerk, in_our_table
from tests.running import bearer
from tests.simulation.fortune import Fortune
from tests.simulation.instance import INSTANCE, signing_key
from tests.simulation.operator import Operator
from tests.simulation.replica import Replica
from tests.simulation.stores import MemoryStore
from tests.simulation.virtual_time import true_time
from tests.simulation.wires import ClerkWire, StoreWire, SvixWire

WEBHOOKS = "http://service/webhooks/clerk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer, and the seconds until it came."""

    status: int
    seconds: float
    code: str | None = None
    retry_after: int | None = None


class Scene:
    """Clerk's clock is right. `max_rate` is the replica's calls to Clerk in 10 seconds."""

    def __init__(self, max_rate: float, latencies: tuple[float, ...]) -> None:
        self.store = MemoryStore()
        self.fortune = Fortune(0, latencies=latencies)
        self._svix = SvixWire(self.fortune)
        config = EmulatorConfig(rate_limit=None, instance_id=INSTANCE)
        self.clerk = ClerkEmulator(
            config, clock=true_time, signing_key=signing_key(), transport=self._svix
        )
        endpoint = Endpoint(url=WEBHOOKS, secrets=config.webhook_secrets)
        self.clerk.sender.add_endpoint(endpoint)
        self.asked: list[str] = []
        network = httpx.ASGITransport(self.clerk.app)
        wire = ClerkWire(network, self.fortune, self.asked.append)
        store = StoreWire(self.store, self.fortune)
        self.replica = Replica("one", self.clerk, wire, store, max_rate=max_rate)
        self._svix.replicas = [self.replica]
        self.operator = Operator(self.clerk, wire, store, self.fortune)
        self._numbers = count(1)

    def limit_rate(self, calls: int) -> None:
        """Let Clerk answer 429 to more than `calls` calls in 10 seconds."""
        self.clerk.rate_limit = RateLimit(calls, 10.0, asyncio.get_running_loop().time)

    def stranger(self) -> str:
        """A new user whose webhook is lost."""
        self.clerk.sender.enable(WEBHOOKS, enabled=False)
        user_id = self._sign_up()
        self.clerk.sender.enable(WEBHOOKS, enabled=True)
        return user_id

    async def known(self) -> str:
        """A new user whose webhook has arrived."""
        user_id = self._sign_up()
        await self.clerk.sender.settled()
        assert user_id in self.store.rows
        return user_id

    async def ask(self, user_id: str, token: str | None = None) -> Told:
        """`GET /v1/me` with this token, or a new one."""
        answer, seconds = await self.get("/v1/me", token or self.clerk.session_token(user_id))
        retry_after = answer.headers.get("retry-after")
        return Told(
            status=answer.status_code,
            seconds=seconds,
            code=answer.json().get("code"),
            retry_after=None if retry_after is None else int(retry_after),
        )

    async def ask_all(self, user_ids: list[str]) -> list[Told]:
        return await asyncio.gather(*map(self.ask, user_ids))

    async def get(self, path: str, token: str = "") -> tuple[httpx.Response, float]:
        """The answer, and the seconds until it came."""
        clock = asyncio.get_running_loop().time
        began = clock()
        headers = bearer(token) if token else {}
        request = httpx.Request("GET", f"http://service{path}", headers=headers)
        answer = await self.replica.answer(request)
        await answer.aread()
        return answer, clock() - began

    @property
    def fetches(self) -> int:
        """The number of calls to Clerk for a user."""
        return sum(path.startswith("/v1/users/") for path in self.asked)

    def rows(self, *user_ids: str) -> int:
        """How many of these users are in our table."""
        return sum(UserId(user_id) in self.store.rows for user_id in user_ids)

    def differences(self) -> dict[str, Any]:
        """The users whose contents at Clerk and in our table differ."""
        ours = {row["clerk_id"]: in_our_table(row) for row in self.store.table()}
        everybody = {*ours, *(user.id for user in self.clerk.users)}
        looks = {user_id: at_clerk(self.clerk, user_id) for user_id in everybody}
        return {one: look for one, look in looks.items() if ours.get(one) != look}

    def _sign_up(self) -> str:
        address = f"person{next(self._numbers)}@example.com"
        user_id: str = self.clerk.create_user(email_address=[address])["id"]
        return user_id


@asynccontextmanager
async def scene(
    max_rate: float = 10_000, latencies: tuple[float, ...] = (0.0,)
) -> AsyncIterator[Scene]:
    """A scene without failures, with the signing keys loaded. A message takes one of `latencies`."""
    here = Scene(max_rate, latencies)
    await here.clerk.start()
    here.replica.start()
    assert (await here.ask(await here.known())).status == 200
    here.asked.clear()
    yield here
    await here.clerk.stop()

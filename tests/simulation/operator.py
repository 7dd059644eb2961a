"""The operator's commands, as tasks of a simulated process of their own."""

import asyncio
from collections.abc import Coroutine

from adapters.clerk.api.calls import BULK_LIMITS
from adapters.clerk.api.client import clerk_client
from adapters.clerk.api.users import ClerkIdentityProvider
from adapters.clerk.translate.delivery import ClerkDeliveryReader
from domain.backfill import Backfill
from domain.drift import Findings
from domain.errors import Unavailable
from domain.instance import Instance
from domain.journal import JournalQuery
from domain.reconcile import Reconcile, ReconcileOptions
from domain.replay import RecordedDelivery, ReplayDelivery, recorded
from scripts.clerk_emulator import ClerkEmulator
from tests.simulation.fortune import Fortune
from tests.simulation.virtual_time import Process
from tests.simulation.wires import ClerkWire, StoreWire


class Operator:
    """Starts commands, some of them while others run."""

    def __init__(
        self, clerk: ClerkEmulator, wire: ClerkWire, store: StoreWire, fortune: Fortune
    ) -> None:
        self._clerk = clerk
        self._wire = wire
        self._store = store
        self._fortune = fortune
        self._process = Process()
        self._running: list[asyncio.Task[None]] = []

    def start(self, command: Coroutine[object, object, object]) -> None:
        self._running.append(self._process.spawn(self._run(command)))

    def kill(self) -> None:
        self._process.kill()

    async def finished(self) -> None:
        """Wait for the running commands. Raises an unexpected error of any of them."""
        if self._running:
            await asyncio.wait(self._running)
        for command in self._running:
            if not command.cancelled():
                command.result()

    async def backfill(self) -> None:
        backfill = Backfill(
            users=self._store,
            user_table=self._store,
            identity_provider=self._reader(),
            checkpoints=self._store,
            instance_id=self._clerk.config.instance_id,
        )
        await backfill.run(lambda _outcomes, _left_out: None)

    async def reconcile(self) -> Findings:
        findings = Findings()
        await self.reconciliation().full(ReconcileOptions(repair=True), findings)
        return findings

    async def reconcile_recent(self) -> None:
        await self.reconciliation().recent(ReconcileOptions(repair=True), Findings())

    async def replay(self) -> None:
        reader = ClerkDeliveryReader(instance=Instance(self._clerk.config.instance_id))
        replay = ReplayDelivery(reader, self._store)
        async for one in recorded(self._store, JournalQuery(), reader):
            if isinstance(one, RecordedDelivery):
                await replay(one)

    async def forget_bodies(self) -> None:
        """Erase bodies as retention does when they are due."""
        await self._store.forget_bodies()

    async def _run(self, command: Coroutine[object, object, object]) -> None:
        try:
            await command
        except Unavailable as error:
            self._fortune.note("command gave up", type(error).__name__)

    def reconciliation(self) -> Reconcile:
        return Reconcile(
            users=self._store,
            user_table=self._store,
            identity_provider=self._reader(),
            checkpoints=self._store,
            instance_id=self._clerk.config.instance_id,
        )

    def _reader(self) -> ClerkIdentityProvider:
        config = self._clerk.config
        return ClerkIdentityProvider(
            clerk_client(config.secret_key, config.url, transport=self._wire),
            max_rate=10_000,
            limits=BULK_LIMITS,
            clock=asyncio.get_running_loop().time,
        )

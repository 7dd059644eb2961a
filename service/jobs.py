"""Background work: one supervisor, and the jobs it runs."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from domain.cancelling import cancel_all
from domain.errors import AlreadyRunning, StorageUnavailable, SyncError, Unavailable
from domain.history import StoreHistory, notice
from domain.instance import learn
from domain.ports import Exclusive
from domain.retention import Retain
from service.metrics import Metrics
from service.services import Clerk, Store

OPERATOR_LOCK = "operator"
"""The lock of runs that read all users or write many: one such run at a time."""

RETENTION_LOCK = "retain"

RETENTION_PAUSE_RATIO = 3.0
"""Retention pauses this many times as long as it works, so that it hardly slows requests down."""

_FIRST_RETENTION = 60.0
_RETENTION_EVERY = 3600.0

_KEYS_EVERY = 300.0
_KEYS_SOON = 31.0
_KEYS_AGAIN = 1.0
_INSTANCE_AGAIN = 5.0
_INSTANCE_RARELY = 600.0
_HISTORY_EVERY = 60.0

_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONGEST_DOUBT = 600.0


class Jobs:
    """Runs each job until it returns. A job that fails is logged and started again after a pause.

    The pauses grow from one second to one minute.
    """

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger) -> None:
        self._metrics = metrics
        self.log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._failing_until: dict[str, float] = {}

    @property
    def failing(self) -> frozenset[str]:
        """The jobs that failed, and have not run for longer since: at most ten minutes."""
        now = asyncio.get_running_loop().time()
        return frozenset(name for name, until in self._failing_until.items() if now < until)

    def start(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.create_task(self._supervise(name, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel every job and wait for its end."""
        await cancel_all(self._tasks)

    async def _supervise(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        loop, pause = asyncio.get_running_loop(), _SHORTEST_PAUSE
        while True:
            started = loop.time()
            try:
                await work()
            except SyncError as error:
                self.log.warning("job_failed", job=name, cause=error.explained)
            except Exception:
                self.log.exception("job_failed", job=name)
            else:
                self._failing_until.pop(name, None)
                return
            self._metrics.job_failed(name)
            lasted = loop.time() - started
            if lasted > _LONGEST_PAUSE:
                pause = _SHORTEST_PAUSE
            # Some jobs sleep before their work. Twice as long, because no two runs take the same.
            doubt = min(2 * lasted + 1, _LONGEST_DOUBT)
            self._failing_until[name] = loop.time() + pause + doubt
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def holder(name: str) -> str:
    """The name of a lock's holder, for others to see: run, process, machine and start.

    At most 63 bytes.
    """
    since = datetime.now(UTC).strftime("%d %H:%M:%SZ")
    return f"{name} {os.getpid()}@{socket.gethostname()[:20]} since {since}"


async def watch_event_loop(report: Callable[[float], None], every: float = 0.5) -> None:
    """Report by how many seconds each sleep of `every` seconds was too long."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + every
        await asyncio.sleep(every)
        report(max(0.0, loop.time() - due))


async def retain_by_the_hour(
    retain: Retain,
    exclusive: Exclusive,
    log: FilteringBoundLogger,
    *,
    first: float = _FIRST_RETENTION,
    every: float = _RETENTION_EVERY,
) -> None:
    """Delete what is due every hour, on one replica at a time. Raises `StorageUnavailable`."""
    await asyncio.sleep(first)  # the service is busy while it starts
    while True:
        with suppress(AlreadyRunning):  # another replica runs it now
            async with exclusive.hold(RETENTION_LOCK, holder("retain")):
                forgotten = await retain()
            if forgotten.bodies or forgotten.entries or forgotten.changes:
                log.info(
                    "expired_rows_deleted",
                    bodies=forgotten.bodies,
                    entries=forgotten.entries,
                    changes=forgotten.changes,
                )
        await asyncio.sleep(every)


class Keys(Protocol):
    """Signing keys, as `keep_signing_keys` needs them. `age` is in seconds."""

    @property
    def loaded(self) -> bool: ...

    @property
    def in_doubt(self) -> bool: ...

    @property
    def age(self) -> float: ...

    async def load(self) -> None: ...


async def keep_signing_keys(keys: Keys, log: FilteringBoundLogger) -> None:
    """Load the keys until that succeeds, and then often enough to keep them fresh.

    Tokens cause fetches too, but a replica may receive none for hours, and its keys would expire.
    One line tells that they cannot be fetched, and one that they can again.
    """
    trouble: str | None = None
    while True:
        await keys.load()
        found = _trouble(keys)
        if found is None and trouble is not None:
            log.info("signing_keys_fetched")
        elif found is not None and found != trouble:
            log.warning(found)
        trouble = found
        await asyncio.sleep(
            _KEYS_AGAIN if not keys.loaded else _KEYS_SOON if found else _KEYS_EVERY
        )


def _trouble(keys: Keys) -> str | None:
    if not keys.loaded:
        return "signing_keys_unavailable"
    if keys.in_doubt:
        return "signing_keys_doubted"
    return "signing_keys_not_fetched" if keys.age >= _KEYS_EVERY else None


async def know_instance(
    clerk: Clerk,
    store: Store,
    log: FilteringBoundLogger,
    *,
    again: float = _INSTANCE_AGAIN,
    rarely: float = _INSTANCE_RARELY,
) -> None:
    """Ask store and Clerk until the instance is known and nothing contradicts it."""
    told: str | None = None
    while True:
        pause = again
        with suppress(Unavailable):  # readiness tells of both
            await learn(clerk.instance, clerk.bulk, store.user_table, store.checkpoints)
            contradiction = clerk.instance.contradiction
            if contradiction is None and clerk.instance.id is not None:
                return
            if contradiction is None:
                pause = rarely  # Clerk answered, and does not tell
            elif contradiction != told:
                log.error("instance_contradicted", cause=contradiction)
            told = contradiction
        await asyncio.sleep(pause)


async def watch_history(
    history: StoreHistory, log: FilteringBoundLogger, *, every: float = _HISTORY_EVERY
) -> None:
    """Notice when the store goes back: restored from a backup, before or while we run."""
    while True:
        with suppress(StorageUnavailable):  # readiness tells of that
            if reason := await notice(history):
                tell_that_it_went_back(log, reason)
        await asyncio.sleep(every)


def tell_that_it_went_back(log: FilteringBoundLogger, reason: str) -> None:
    log.error("store_went_back", cause=reason)


class Server(Protocol):
    """The embedded server. Both methods block."""

    def is_running(self) -> bool: ...

    def restart(self) -> None: ...


async def keep_running(
    server: Server,
    unavailable: type[Exception],
    log: FilteringBoundLogger,
    every: float = 1.0,
) -> None:
    """Restart the embedded server whenever it dies. A failed restart raises `unavailable`.

    A restart that fails is tried again, because its causes, such as a lack of memory, may pass.
    Requests are answered with 503 meanwhile.
    """
    while True:
        await asyncio.sleep(every)
        if await asyncio.to_thread(server.is_running):
            continue
        try:
            await asyncio.to_thread(server.restart)
        except unavailable as error:
            log.error("embedded_postgres_down", cause=str(error))  # noqa: TRY400 - no traceback
        else:
            log.warning("embedded_postgres_restarted")

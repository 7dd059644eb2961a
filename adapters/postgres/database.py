"""One pool, one deadline, errors as words."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from adapters.postgres.relations import found, look
from adapters.postgres.servers import Servers
from adapters.postgres.session import Session
from domain.errors import StorageUnavailable, SyncError, Unstorable

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Answer = TypeVar("Answer")

_PASSING = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
    # The driver's words for a session that has ended, when it notices only at the next use.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What a repetition may well cure. Everything here is idempotent, so repeating is safe."""

_ENOUGH_FOR_A_FREE_ONE = 0.1
"""Seconds. Who has waited their time already still gets a connection that nobody uses."""

_PLAINLY = {
    "ConnectionRefusedError": "nobody listens there",
    "gaierror": "no such host",
    "TimeoutError": "no answer in time",
    "InvalidPasswordError": "the password is wrong",
    "InvalidCatalogNameError": "no such database",
    "TargetServerAttributeNotMatched": "none of the servers may be written to",
    "ReadOnlySQLTransactionError": "it is read-only",
    "SSLCertVerificationError": "its certificate is not trusted: see sslmode and sslrootcert",
    "SSLError": "TLS with it failed",
    "ConnectionError": "it ended the connection, or offers no TLS",
    "InvalidAuthorizationSpecificationError": "it refuses this user, this host or this sslmode",
    "ProtocolViolationError": "it refuses an option of the address, as pgbouncer does search_path: "
    "set DATABASE_SCHEMA instead",
    "TooManyConnectionsError": "it has no connection left",
    "DiskFullError": "its disk is full",
    "InvalidSchemaNameError": "there is no such schema: see DATABASE_SCHEMA",
    "DuplicateTableError": "another application has a table, view or index with the name of ours: "
    "set DATABASE_SCHEMA",
}
"""What an operator meets most, in words."""

_POISON_CLASSES = {"22", "23", "54"}
"""SQLSTATE classes that blame the content: data, integrity, limits (PostgreSQL, appendix A)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How much of the store one process may use. Times in seconds, all within Svix's 15.

    `grace` is for the server to acknowledge that a statement is cancelled at the deadline.
    """

    size: int = 10
    wait: float = 2.0
    connect: float = 1.8
    deadline: float = 8.0
    grace: float = 1.0
    tries: int = 3
    statement_cache: int = 100


class Database:
    """Runs work on a pooled connection. The server need not be up yet, and may come back."""

    def __init__(
        self, dsn: str, limits: PoolLimits | None = None, schema: str | None = None
    ) -> None:
        self._servers = Servers(dsn, schema)
        self.schema = self._servers.schema
        self._limits = limits or PoolLimits()
        self._keeps_statements = (
            self._limits.statement_cache > 0 and self._servers.address.keeps_statements
        )
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Make the pool. Connects to nothing."""
        self._pool = await asyncpg.create_pool(
            connect=self._connect,
            min_size=0,
            max_size=self._limits.size,
            timeout=self._limits.connect,
            command_timeout=self._limits.deadline,
            statement_cache_size=self._limits.statement_cache,
            max_inactive_connection_lifetime=300,
            # No session state is ever set here, so the round trip that would clear it is spared.
            reset=_nothing_to_reset,
            server_settings={"application_name": "clerk-user-sync"},
        )

    async def close(self) -> None:
        """Return the connections; those still busy after a while are cut."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def run(
        self, work: Callable[[Session], Awaitable[Answer]], since: float | None = None
    ) -> Answer:
        """`work` on one connection, repeated if the failure was a passing one.

        All limits count from `since`, on the loop's clock: from now, unless somebody waits already.
        Raises `StorageUnavailable` or `Unstorable`, nothing else.
        """
        now = asyncio.get_running_loop().time()
        waited = 0.0 if since is None else now - since
        deadline = now - waited + self._limits.deadline
        try:
            async with asyncio.timeout_at(deadline):
                return await self._with_tries(work, deadline, self._limits.wait - waited)
        except SyncError:
            raise
        except asyncpg.InsufficientPrivilegeError as error:
            raise StorageUnavailable(await self._rights_lacking() or _words(error)) from None
        except Exception as error:  # noqa: BLE001 - the one place where the driver's errors become words
            # Not chained: a driver's message may quote the row.
            raise translated(error) from None

    async def _rights_lacking(self) -> str:
        """Which rights the role does not have. The server's error names the table alone."""
        rows = await self.run(lambda session: session.fetch(look(self.schema)))
        there = found([dict(row) for row in rows])
        if not there.rights_lacking:
            return ""
        rights = ", ".join(there.rights_lacking)
        return f"the role {there.role} lacks {rights}: see docs/guides/rights.md"

    @property
    def in_use(self) -> int:
        """Connections at work now."""
        return 0 if self._pool is None else self._pool.get_size() - self._pool.get_idle_size()

    @property
    def size(self) -> int:
        """Connections open now."""
        return 0 if self._pool is None else self._pool.get_size()

    async def _with_tries(
        self, work: Callable[[Session], Awaitable[Answer]], deadline: float, wait: float
    ) -> Answer:
        for attempt in range(1, self._limits.tries):
            try:
                return await self._once(work, deadline, wait)
            except _PASSING as error:
                if _is_past(deadline) or _refused_by_the_driver(error):
                    raise
                await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter
        return await self._once(work, deadline, wait)

    async def _once(
        self, work: Callable[[Session], Awaitable[Answer]], deadline: float, wait: float
    ) -> Answer:
        if self._pool is None:
            raise StorageUnavailable("the pool is not open")
        connection = await self._session(self._pool, max(wait, _ENOUGH_FOR_A_FREE_ONE))
        # A rollback waits for the server's word, which never comes over a dead network: cut it.
        cut = asyncio.get_running_loop().call_at(
            deadline + self._limits.grace, connection.terminate
        )
        try:
            return await work(Session(connection, self.schema))
        except asyncpg.ReadOnlySQLTransactionError:
            # After a failover our address leads to another server, but not on this connection.
            connection.terminate()
            raise
        finally:
            cut.cancel()
            await self._give_back(self._pool, connection)

    async def _give_back(
        self, pool: "asyncpg.Pool[asyncpg.Record]", connection: Connection
    ) -> None:
        """If that fails, the pool has cut the connection. How the work ended stays as it is.

        Else who is cancelled while nothing arrives would be told of an error instead.
        """
        with suppress(Exception):
            await pool.release(connection, timeout=self._limits.grace)

    async def _connect(self, *_: object, **options: Any) -> Any:
        """A session. The first that turns out to be lent by a pooler is opened again without cache.

        Cached statements have names, and on a lent session a name may be another client's.
        """
        if self._keeps_statements:
            connection = await self._servers.connect(**options)
            try:
                if not await _is_lent(connection):
                    return connection
            except BaseException:
                connection.terminate()
                raise
            connection.terminate()
            self._keeps_statements = False
        return await self._servers.connect(**{**options, "statement_cache_size": 0})

    async def _session(self, pool: "asyncpg.Pool[asyncpg.Record]", wait: float) -> Connection:
        try:
            return await pool.acquire(timeout=wait)
        except SyncError:
            raise
        except Exception as error:
            if isinstance(error, _PASSING) and not _refused_by_the_driver(error):
                raise
            raise out_of_reach(error) from None


def _is_past(moment: float) -> bool:
    return asyncio.get_running_loop().time() >= moment


async def _nothing_to_reset(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    return None


async def _is_lent(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether a pooler is in between: the process id that it tells its client is not the server's.

    Asked without parameters and without an answer to read, so that no statement gets a name.
    """
    try:
        await connection.execute(
            f"select 1 / (pg_backend_pid() = {connection.get_server_pid()})::int"
        )
    except asyncpg.DivisionByZeroError:
        return True
    return False


def translated(error: Exception) -> StorageUnavailable | Unstorable:
    """The driver's error as one of our words, without its text: that may quote the row."""
    if _sqlstate(error)[:2] in _POISON_CLASSES or _refused_by_the_driver(error):
        return Unstorable(_words(error))
    return StorageUnavailable(_words(error))


def out_of_reach(error: Exception) -> StorageUnavailable:
    """For what kept us from a session: then no content is to blame, whatever the error's class."""
    return StorageUnavailable(_words(error))


def _words(error: Exception) -> str:
    name = type(error).__name__
    words = f"{name} {_sqlstate(error)}".strip()
    return f"{_PLAINLY[name]} ({words})" if name in _PLAINLY else words


def _sqlstate(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""


def _refused_by_the_driver(error: Exception) -> bool:
    """It could not even be encoded: a lone surrogate, a number out of range."""
    return isinstance(error, (asyncpg.DataError, UnicodeError, OverflowError)) or (
        isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    )

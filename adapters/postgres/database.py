"""The pool of connections: deadlines, retries, and the driver's errors as ours."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from adapters.postgres.relations import catalogue_query, read_catalogue
from adapters.postgres.servers import NAME, Servers
from adapters.postgres.session import Session
from domain.errors import StorageUnavailable, SyncError, Unstorable

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Answer = TypeVar("Answer")

_TRANSIENT = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    ConnectionError,
    # The driver's errors for a session that ended earlier, noticed at its next use.
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""Errors that a retry may cure, though the first try may be committed. That is safe for users:
at worst a delivery is counted twice, or an action is on the audit trail twice, once without an end.
"""

_SHORTEST_WAIT = 0.1
"""Seconds. A caller that has used up its time to wait can still get an idle connection."""

_NONE_FREE = "no connection was free or could be opened in time"

_EXPLAINED = {
    "ConnectionRefusedError": "nothing listens there",
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
    "ProtocolViolationError": "a pooler in between refuses it: its limit of clients, its password "
    "or its server; see its log",
    "CannotConnectNowError": "it is starting, stopping or in recovery",
    "TooManyConnectionsError": "it has no connection left",
    "PermissionError": "its socket or ~/.postgresql is closed to this user: see HOME",
    "DiskFullError": "its disk is full",
    "LockNotAvailableError": "another transaction holds a lock: try again",
    "InvalidSchemaNameError": "there is no such schema: see DATABASE_SCHEMA",
    "UndefinedTableError": "our tables are not there: run clerk-user-sync migrate, or see "
    "DATABASE_SCHEMA",
    "DuplicateTableError": "another application has a table, view or index with the name of ours: "
    "set DATABASE_SCHEMA",
}
"""Explanations of frequent errors, by the class's name. "It" is the server."""

_OPTION_REFUSED = "it refuses an option of the address: for search_path, set DATABASE_SCHEMA"

_CONTENT_CLASSES = {"22", "23", "54", "P0"}
"""SQLSTATE classes about the content (PostgreSQL, appendix A); P0: of a host's trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """The limits of one process. Times in seconds, in sum less than the 15 s that Svix waits.

    `wait` is for a free connection, `deadline` for all tries together, and `grace` for the server
    to confirm that a statement was cancelled at the deadline.
    """

    size: int = 10
    wait: float = 2.0
    connect: float = 1.8
    deadline: float = 8.0
    grace: float = 1.0
    tries: int = 3
    statement_cache: int = 100


class Database:
    """Runs work on a pooled connection. The server may start later, or restart meanwhile."""

    def __init__(
        self, dsn: str, limits: PoolLimits | None = None, schema: str | None = None
    ) -> None:
        self.servers = Servers(dsn, schema)
        self.schema = self.servers.schema
        self.limits = limits or PoolLimits()
        self._keeps_statements = (
            self.limits.statement_cache > 0 and self.servers.address.keeps_statements
        )
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Create the pool, without connecting."""
        self._pool = await asyncpg.create_pool(
            connect=self._connect,
            min_size=0,
            max_size=self.limits.size,
            timeout=self.limits.connect,
            command_timeout=self.limits.deadline,
            statement_cache_size=self.limits.statement_cache,
            max_inactive_connection_lifetime=300,
            # No session state is ever set, so none has to be reset: that saves a round trip.
            reset=_nothing_to_reset,
            server_settings=NAME,
        )

    async def close(self) -> None:
        """Close the connections. After 5 s those still in use are terminated."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def run(
        self,
        work: Callable[[Session], Awaitable[Answer]],
        since: float | None = None,
        *,
        repeat: bool = True,
    ) -> Answer:
        """Run `work` on one connection, and repeat it after a transient error.

        The first try may be committed: `repeat` is false for work that would answer otherwise then.
        All limits count from `since`, on the loop's clock, by default from now. Raises
        `StorageUnavailable` or `Unstorable`, nothing else.
        """
        now = asyncio.get_running_loop().time()
        waited = 0.0 if since is None else now - since
        deadline = now - waited + self.limits.deadline
        try:
            async with asyncio.timeout_at(deadline):
                tries = self.limits.tries if repeat else 1
                return await self._with_tries(work, deadline, self.limits.wait - waited, tries)
        except SyncError:
            raise
        except asyncpg.InsufficientPrivilegeError as error:
            raise StorageUnavailable(await self._rights_lacking() or _words(error)) from None
        except Exception as error:  # noqa: BLE001 - the driver's errors become ours here
            # Not chained: a driver's message may quote the row.
            raise translated(error) from None

    async def _rights_lacking(self) -> str:
        """The rights that the role does not have; the server's error only names a table."""
        rows = await self.run(lambda session: session.fetch(catalogue_query(self.schema)))
        catalogue = read_catalogue(rows)
        if not catalogue.rights_lacking:
            return ""
        rights = ", ".join(catalogue.rights_lacking)
        return f"the role {catalogue.role} lacks {rights}: see docs/guides/rights.md"

    @property
    def in_use(self) -> int:
        """Connections in use."""
        return 0 if self._pool is None else self._pool.get_size() - self._pool.get_idle_size()

    @property
    def size(self) -> int:
        """Open connections."""
        return 0 if self._pool is None else self._pool.get_size()

    async def _with_tries(
        self, work: Callable[[Session], Awaitable[Answer]], deadline: float, wait: float, tries: int
    ) -> Answer:
        for attempt in range(1, tries):
            try:
                return await self._once(work, deadline, wait)
            except _TRANSIENT as error:
                if _is_past(deadline) or _refused_by_the_driver(error):
                    raise
                await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - jitter
        return await self._once(work, deadline, wait)

    async def _once(
        self, work: Callable[[Session], Awaitable[Answer]], deadline: float, wait: float
    ) -> Answer:
        if self._pool is None:
            raise StorageUnavailable("the pool is not open")
        connection = await self._session(self._pool, max(wait, _SHORTEST_WAIT))
        # A rollback waits for the server's answer, and on a dead network none comes: then cut it.
        cut = asyncio.get_running_loop().call_at(deadline + self.limits.grace, connection.terminate)
        try:
            return await work(Session(connection, self.schema))
        except asyncpg.ReadOnlySQLTransactionError:
            # After a failover, a new connection may reach the writable server; this one cannot.
            connection.terminate()
            raise
        finally:
            cut.cancel()
            await self._give_back(self._pool, connection)

    async def _give_back(
        self, pool: "asyncpg.Pool[asyncpg.Record]", connection: Connection
    ) -> None:
        """Release the connection. If that fails, the pool terminates it, and the error is dropped:
        it must not replace the result of the work, or its cancellation.
        """
        with suppress(Exception):
            await pool.release(connection, timeout=self.limits.grace)

    async def _connect(self, *_: object, **options: Any) -> Any:
        """A new connection. Once a pooler is detected, all are opened without a statement cache.

        Cached statements have names, and a pooler's server connection may have another client's
        statement under the same name.
        """
        if self._keeps_statements:
            connection = await self.servers.connect(**options)
            try:
                if not await is_behind_pooler(connection):
                    return connection
            except BaseException:
                connection.terminate()
                raise
            connection.terminate()
            self._keeps_statements = False
        return await self.servers.connect(**{**options, "statement_cache_size": 0})

    async def _session(self, pool: "asyncpg.Pool[asyncpg.Record]", wait: float) -> Connection:
        try:
            # The pool's own timeout would start a task for each connection that is taken.
            async with asyncio.timeout(wait) as waiting:
                return await pool.acquire()
        except SyncError:
            raise
        except Exception as error:
            if waiting.expired():  # for other callers, for the server, or for both
                raise StorageUnavailable(_NONE_FREE) from None
            if isinstance(error, _TRANSIENT) and not _refused_by_the_driver(error):
                raise
            raise out_of_reach(error) from None


def _is_past(moment: float) -> bool:
    return asyncio.get_running_loop().time() >= moment


async def _nothing_to_reset(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    return None


async def is_behind_pooler(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Whether a pooler is in between: it reports another process id to its client than the server.

    The query has no parameters, and its answer is an error or none, so no statement gets a name.
    """
    try:
        await connection.execute(
            f"select 1 / (pg_backend_pid() = {connection.get_server_pid()})::int"
        )
    except asyncpg.DivisionByZeroError:
        return True
    return False


def translated(error: Exception) -> StorageUnavailable | Unstorable:
    """The driver's error as one of ours, without its text, which may quote the row."""
    if _sqlstate(error)[:2] in _CONTENT_CLASSES or _refused_by_the_driver(error):
        return Unstorable(_words(error))
    return StorageUnavailable(_words(error))


def out_of_reach(error: Exception) -> StorageUnavailable:
    """The error for a connection that could not be opened: no content can be the cause."""
    return StorageUnavailable(_words(error))


def _words(error: Exception) -> str:
    name = type(error).__name__
    words = f"{name} {_sqlstate(error)}".strip()
    # PgBouncer sends one SQLSTATE for nearly all that it refuses.
    option_refused = str(error).startswith("unsupported startup parameter")
    explanation = _OPTION_REFUSED if option_refused else _EXPLAINED.get(name)
    return f"{explanation} ({words})" if explanation else words


def _sqlstate(error: Exception) -> str:
    return getattr(error, "sqlstate", None) or ""


def _refused_by_the_driver(error: Exception) -> bool:
    """Whether the driver could not encode a value: a lone surrogate, or a number out of range."""
    return isinstance(error, (asyncpg.DataError, UnicodeError, OverflowError)) or (
        isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)
    )

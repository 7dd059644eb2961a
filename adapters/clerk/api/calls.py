"""Calls to Clerk's Backend API, limited in time, in number and in retries.

Each call is under a total deadline, a client-side rate limit, a circuit breaker and a retry policy.
Sources: Clerk, "System limits" (1,000 requests in 10 s in production, 100 in development, 429
with `Retry-After`) and "Backend API" (error bodies).
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import httpx
from aiolimiter import AsyncLimiter
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from adapters.clerk.api.circuit import CircuitBreaker
from adapters.clerk.http import Answer, HttpClient, UnusableAnswer, bounded_request
from domain.errors import IdentityProviderUnavailable, SecretKeyRefused

Report = Callable[[str, str], None]
"""Called after every HTTP attempt with the operation and its result, a status or our own word."""

QUOTA_SECONDS = 10.0

DEFAULT_PAUSE = 1.0
"""Seconds without a call after a 429 that has no `Retry-After`."""

_NAMED_STATUSES = (200, 400, 401, 403, 404, 422, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClerkLimits:
    """The limits of one call: all its tries within `deadline`, each within `attempt` seconds.

    The wait between two tries is random, up to `first_wait`, twice that, … `longest_wait` seconds,
    plus the `Retry-After` of Clerk. There is no further try when it would exceed the deadline.
    """

    deadline: float = 3.0
    attempt: float = 1.5
    tries: int = 3
    first_wait: float = 0.1
    longest_wait: float = 1.0
    max_bytes: int = 1024 * 1024


REQUEST_LIMITS = ClerkLimits()
"""For a call that a request waits for."""

OPERATOR_LIMITS = replace(REQUEST_LIMITS, deadline=10.0, attempt=5.0)
"""For a call that an operator waits for."""

BULK_LIMITS = ClerkLimits(
    deadline=300.0,
    attempt=30.0,
    tries=6,
    first_wait=1.0,
    longest_wait=30.0,
    max_bytes=32 * 1024 * 1024,
)
"""For a long run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """What is asked. `operation` is its name in reports."""

    operation: str
    method: str
    path: str
    params: Mapping[str, str | int] | None = None
    json: Mapping[str, object] | None = None


class ClerkCalls:
    """Requests to Clerk: at most `max_rate` in any 10 seconds, all operations together.

    `clock` counts seconds and never goes back.
    """

    def __init__(
        self,
        client: HttpClient,
        *,
        max_rate: float,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        # The bucket allows a burst and refills meanwhile: a burst of a third, and two thirds over
        # ten seconds, together stay within the quota.
        self._limiter = AsyncLimiter(max_rate / 3, QUOTA_SECONDS / 2)
        self._circuit = CircuitBreaker(clock=clock)
        self._report = report

    @property
    def answers(self) -> bool:
        """False after failures that opened the circuit, if the last one is recent."""
        return not self._circuit.is_failing

    async def get(
        self, operation: str, path: str, params: Mapping[str, str | int], limits: ClerkLimits
    ) -> Answer:
        """Clerk's response: 200, or a 4xx that is about this request only.

        Raises `IdentityProviderUnavailable` for any other, and at the deadline.
        """
        call = _Call(operation=operation, method="GET", path=path, params=params)
        return await self._with_tries(call, limits)

    async def patch(
        self, operation: str, path: str, json: Mapping[str, object], limits: ClerkLimits
    ) -> Answer:
        """The same for a PATCH, which may be sent several times."""
        call = _Call(operation=operation, method="PATCH", path=path, json=json)
        return await self._with_tries(call, limits)

    async def _with_tries(self, call: _Call, limits: ClerkLimits) -> Answer:
        try:
            async with asyncio.timeout(limits.deadline):
                return await _retrying(limits)(self._attempt, call, limits)
        except TimeoutError as error:
            raise IdentityProviderUnavailable("deadline passed") from error

    async def _attempt(self, call: _Call, limits: ClerkLimits) -> Answer:
        self._refuse_while_open()
        await self._limiter.acquire()
        self._refuse_while_open()
        self._circuit.entered()
        answer = await self._exchange(call, limits)
        return self._judged(answer)

    def _refuse_while_open(self) -> None:
        if wait := self._circuit.wait():
            raise _TryAgain("calls are paused, after failures or a Retry-After", asked=wait)

    async def _exchange(self, call: _Call, limits: ClerkLimits) -> Answer:
        status = "cancelled"
        try:
            answer = await bounded_request(
                self._client,
                call.path,
                method=call.method,
                params=call.params,
                json=call.json,
                seconds=limits.attempt,
                max_bytes=limits.max_bytes,
            )
            status = _status_word(answer.status)
        except UnusableAnswer as error:
            status = "unusable"
            raise IdentityProviderUnavailable(str(error)) from error
        except (TimeoutError, httpx.HTTPError) as error:
            status = _failure_word(error)
            self._circuit.failed()
            if status == "untrusted":  # another try would end as this one
                raise IdentityProviderUnavailable(_SENTENCES[status]) from error
            raise _TryAgain(_SENTENCES[status], asked=None) from error
        finally:
            self._report(call.operation, status)
        return answer

    def _judged(self, answer: Answer) -> Answer:
        status = answer.status
        if status == httpx.codes.TOO_MANY_REQUESTS:
            pause = DEFAULT_PAUSE if answer.retry_after is None else answer.retry_after
            self._circuit.hold(pause)
            raise _TryAgain("limited", asked=pause)
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            self._circuit.trip()
            raise SecretKeyRefused("our secret key is refused")
        if httpx.codes.is_server_error(status):
            self._circuit.failed()
            raise _TryAgain(f"status {status}", asked=answer.retry_after)
        if status != httpx.codes.OK and not httpx.codes.is_client_error(status):
            raise IdentityProviderUnavailable(f"status {status}")
        self._circuit.succeeded()
        return answer


class _TryAgain(IdentityProviderUnavailable):
    """Another try may succeed, after `asked` seconds if the server gave a `Retry-After`."""

    def __init__(self, message: str, *, asked: float | None) -> None:
        super().__init__(message, retry_after=asked or 1.0)
        self.asked = asked


def _retrying(limits: ClerkLimits) -> AsyncRetrying:
    return AsyncRetrying(
        retry=retry_if_exception_type(_TryAgain),
        stop=stop_after_attempt(limits.tries) | stop_before_delay(limits.deadline),
        wait=_wait(limits),
        reraise=True,
    )


def _wait(limits: ClerkLimits) -> Callable[[RetryCallState], float]:
    """The wait between two tries: the server's `Retry-After` and a random time."""
    jitter = wait_random_exponential(multiplier=limits.first_wait, max=limits.longest_wait)

    def seconds(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.asked if isinstance(error, _TryAgain) else None
        return (asked or 0.0) + jitter(state)

    return seconds


def _status_word(status: int) -> str:
    return str(status) if status in _NAMED_STATUSES else f"{status // 100}xx"


_SENTENCES = {
    "timeout": "no answer in time",
    "untrusted": "a certificate is not trusted: see SSL_CERT_FILE",
    "refused": "no connection",
    "error": "the connection broke",
}


def _failure_word(error: Exception) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "timeout"
    if _is_about_a_certificate(error):
        return "untrusted"
    return "refused" if isinstance(error, httpx.ConnectError) else "error"


def _is_about_a_certificate(error: BaseException | None) -> bool:
    """Whether a certificate is the cause: of Clerk, or of a proxy that inspects TLS."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__  # httpcore hides the cause
    return error is not None

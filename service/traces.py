"""Traces: one from a delivery, or a request, to its commit and on to the handling of the change.
Off unless `TRACES_SHARE` is set.

The change is stored with its place in the trace, so another process can continue it, days later.

Spans hold names, statuses, outcomes and the ids of deliveries and requests: no data of a user, and
no text of an error. They are sent where OpenTelemetry's own variables say, such as
`OTEL_EXPORTER_OTLP_ENDPOINT`.
"""

import random
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.ports import UserRepository
from domain.subscriptions import Delivery, Subscription, Target
from domain.sync_user import SyncResult, SyncUser
from domain.user import DeletedUser, LocalUser
from service.log import facts_of
from service.services import Store

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Any other method is `_OTHER`: a caller may send any word."""

_TOLD = ("request_id", "svix_id", "outcome")
"""The facts of a request's log line that its span has too."""

_SAMPLED = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf]")
"""A `traceparent` whose sender records the trace (W3C Trace Context §3.2)."""

_PARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Traced = TypeVar("Traced")


class Traces:
    """Records a share of the requests, and each one whose caller records it.

    Spans that come faster than they can be sent are dropped, so that a caller who asks for every
    trace delays no request.
    """

    def __init__(
        self, share: float, exporter: SpanExporter, chance: Callable[[], float] = random.random
    ) -> None:
        resource = Resource({SERVICE_NAME: "clerk-user-sync"}).merge(
            OTELResourceDetector().detect()
        )
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("clerk_user_sync")
        self._share = share
        self._chance = chance

    def close(self) -> None:
        """Send what is left. Blocks for as long as that takes, within the exporter's timeout."""
        self._provider.shutdown()

    def in_front(self, app: ASGIApp) -> ASGIApp:
        """`app`, each of whose recorded requests is a span."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            unverified_parent = _parent_of(scope)
            if scope["type"] != "http" or not self._is_recorded(unverified_parent):
                await app(scope, receive, send)
                return
            with self._span("request", _context_of(unverified_parent), SpanKind.SERVER) as span:
                try:
                    await app(scope, receive, _noting_status(span, send))
                finally:
                    _describe(span, scope)

        return traced

    def of_store(self, store: Store) -> Store:
        """`store`, with spans where a user is read or written, or a delivery quarantined."""
        users = self._around(self._stamping(store.users), "store", "get", "sync", "sync_and_get")
        return replace(
            store,
            users=users,
            journal=self._around(store.journal, "store", "quarantine"),
        )

    def of_clerk(self, identity_provider: Traced) -> Traced:
        """`identity_provider`, whose answers to a request are spans."""
        return self._around(identity_provider, "clerk", "fetch")

    def of_targets(
        self, targets: Sequence[tuple[Subscription, Target]]
    ) -> Sequence[tuple[Subscription, Target]]:
        """`targets`, each of whose deliveries continues the trace that brought the change."""
        return [(subscription, self._continuing(target)) for subscription, target in targets]

    def _continuing(self, target: Target) -> Target:
        async def traced(delivery: Delivery) -> None:
            parent = (delivery.change.traceparent or "").encode()
            if not _SAMPLED.fullmatch(parent):
                await target(delivery)
                return
            with self._span("change.deliver", _context_of(parent), SpanKind.CONSUMER) as span:
                change = replace(delivery.change, traceparent=_traceparent())
                span.set_attributes(
                    {
                        "subscription": delivery.subscription,
                        "kind": change.kind,
                        "position": change.position,
                        "attempt": delivery.attempt,
                    }
                )
                await target(replace(delivery, change=change))

        return traced

    def _stamping(self, users: UserRepository) -> UserRepository:
        """`users`, which stores with each change its place in the trace that is recorded."""

        def stamped(command: SyncUser) -> SyncUser:
            recorded = get_current_span().is_recording()
            return replace(command, traceparent=_traceparent()) if recorded else command

        async def sync(command: SyncUser) -> SyncResult:
            return await users.sync(stamped(command))

        async def sync_and_get(
            command: SyncUser,
        ) -> tuple[SyncResult, LocalUser | DeletedUser | None]:
            return await users.sync_and_get(stamped(command))

        return cast("UserRepository", _Around(users, {"sync": sync, "sync_and_get": sync_and_get}))

    def _around(self, inner: Traced, part: str, *calls: str) -> Traced:
        """`inner`, each of whose `calls` is a span while the request's is recorded."""
        return cast(
            "Traced", _Around(inner, {name: self._call(inner, part, name) for name in calls})
        )

    def _is_recorded(self, unverified_parent: bytes) -> bool:
        if _PARENT.fullmatch(unverified_parent):
            return _SAMPLED.fullmatch(unverified_parent) is not None
        return self._chance() < self._share

    def _call(self, inner: object, part: str, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(inner, name)

        async def traced(*arguments: Any, **named: Any) -> Any:
            if not get_current_span().is_recording():
                return await call(*arguments, **named)
            with self._span(f"{part}.{name}"):
                return await call(*arguments, **named)

        return traced

    @contextmanager
    def _span(
        self, name: str, context: Context | None = None, kind: SpanKind = SpanKind.INTERNAL
    ) -> Iterator[Span]:
        # The text of an exception may hold personal data, so only its type is recorded.
        with self._tracer.start_as_current_span(
            name, context, kind, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise


class _Around:
    """An object with some of its methods replaced."""

    def __init__(self, inner: object, instead: Mapping[str, Any]) -> None:
        self._inner = inner
        self.__dict__.update(instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _parent_of(scope: Scope) -> bytes:
    found = [value for name, value in scope.get("headers", ()) if name == b"traceparent"]
    return found[0] if len(found) == 1 else b""


def _traceparent() -> str:
    """The place of the current span, for another process to continue."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier["traceparent"]


def _context_of(unverified_parent: bytes) -> Context:
    carrier = {"traceparent": unverified_parent.decode("latin-1")}
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _noting_status(span: Span, send: Send) -> Send:
    async def noting(message: Any) -> None:
        if message["type"] == "http.response.start":
            span.set_attribute("http.response.status_code", message["status"])
            if message["status"] >= 500:
                span.set_status(StatusCode.ERROR)
        await send(message)

    return noting


def _describe(span: Span, scope: Scope) -> None:
    """By the route's own pattern: a raw path may hold anything."""
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
    span.update_name(f"{method} {route}")
    span.set_attribute("http.request.method", method)
    span.set_attribute("http.route", route)
    facts = facts_of(scope)
    span.set_attributes({name: str(facts[name]) for name in _TOLD if facts.get(name)})

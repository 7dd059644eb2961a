"""Prometheus metrics. Every label has a fixed set of values: no ids, no text from outside.

The names of subscriptions are those that the application gave them.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from time import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.drift import UNREADABLE, DriftKind, Sweep
from domain.subscriptions import SubscriptionStanding
from domain.sync_user import FOLLOWED_EVENTS
from service.log_writer import LogWriter

_DURATION_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10)
_LOOP_BUCKETS = (0.01, 0.05, 0.25, 1, 5)
_LAG_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 43200, 100_000)

PREFIX = "clerk_user_sync_"
"""The prefix of every name."""


class _WithoutCreated(Collector):
    """Leaves out the `…_created` series. The library's own switch is global to the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


class _DroppedLines(Collector):
    def __init__(self, lines: LogWriter) -> None:
        self._lines = lines

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(
            f"{PREFIX}log_lines_dropped",
            "Log lines that standard output did not accept.",
            value=self._lines.dropped,
        )


class Metrics:
    """The metrics of one application, in their own registry.

    Each is a row of docs/reference/metrics.md, whose last column is the help text.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._deliveries = self._counters(
            "webhook_deliveries", "Verified deliveries.", "type", "outcome"
        )
        self._refusals = self._counters("webhook_refusals", "Deliveries refused.", "code")
        self._conflicts = self._counters(
            "webhook_conflicting_redeliveries",
            "Redeliveries whose body differs from the first delivery's.",
        )
        self._lag = self._histogram(
            "sync_lag_seconds", "From the envelope's time to our commit.", _LAG_BUCKETS
        )
        self._last_delivery = self._gauge(
            "webhook_last_delivery_timestamp_seconds",
            "When the last delivery about a user arrived, at any replica.",
        )
        self._last_delivery_at = 0.0
        self._jit = self._counters("jit_fetches", "Just-in-time fetches.", "outcome")
        self._clerk = self._counters("clerk_requests", "Calls to Clerk.", "operation", "status")
        self._sessions = self._counters("sessions", "Session tokens checked.", "outcome")
        self._requests = self._counters("http_requests", "Requests.", "route", "status")
        # Without the status as a label: buckets times statuses would be hundreds of series.
        durations = self._histogram(
            "http_request_duration_seconds", "How long requests took.", _DURATION_BUCKETS, "route"
        )

        @cache
        def durations_of(route: str) -> Histogram:
            self._requests(route, "500")  # the alert needs one that begins with 0
            return durations.labels(route)

        self._durations = durations_of
        self._drift = self._gauge(
            "drift_users", "Users whom the last comparison found different or unreadable.", "kind"
        )
        self._drift_left = self._gauge(
            "drift_left_users", "Users that its repair left, and those that could not be read."
        )
        self._last_reconcile = self._gauge(
            "reconcile_last_success_timestamp_seconds",
            "When the last full repair ended, at any replica or by a command.",
        )
        self._reconcile_every = self._gauge(
            "reconcile_interval_seconds", "RECONCILE_EVERY; 0 if it is not set."
        )
        self._last_poll = self._gauge(
            "poll_last_success_timestamp_seconds",
            "When the last incremental repair ended, at any replica or by a command.",
        )
        self._poll_every = self._gauge("poll_interval_seconds", "POLL_EVERY; 0 if it is not set.")
        self._loop_lag = self._histogram(
            "event_loop_lag_seconds",
            "How late the event loop was, measured twice a second.",
            _LOOP_BUCKETS,
        )
        self._store_answers = self._gauge(
            "store_answers", "1 if the store answered this scrape, else 0."
        )
        self._went_back = self._gauge(
            "store_went_back",
            "1 if the store went back and no full repair has ended since, else 0.",
        )
        self._pool_size = self._gauge("store_pool_connections", "Open connections.")
        self._pool_in_use = self._gauge("store_pool_connections_in_use", "Connections in use.")
        self._quarantine = self._gauge("quarantine_size", "Deliveries in quarantine.")
        # Not `job`: Prometheus gives every series a label of that name.
        self._job_failures = self._counters("job_failures", "Background jobs that failed.", "name")
        self._changes = self._counters(
            "change_attempts", "Attempts to deliver a change.", "subscription", "outcome"
        )
        change_durations = self._histogram(
            "change_attempt_duration_seconds",
            "How long attempts to deliver a change took.",
            _DURATION_BUCKETS,
            "subscription",
        )
        self._change_durations: Callable[..., Histogram] = cache(change_durations.labels)
        self._held = self._gauge(
            "subscription_held", "1 if this process runs the subscription.", "subscription"
        )
        self._behind = self._gauge(
            "subscription_behind_changes",
            "Changes that the subscription has not read yet, wanted or not.",
            "subscription",
        )
        self._behind_seconds = self._gauge(
            "subscription_behind_seconds", "Age of the oldest, or of a late try.", "subscription"
        )
        self._fell_behind = self._gauge(
            "subscription_fell_behind",
            "1 if changes that the subscription needs are not in the log, else 0.",
            "subscription",
        )
        self._aside = self._gauge(
            "subscription_set_aside_changes",
            "Changes that wait for another try, or are parked.",
            "subscription",
            "state",
        )
        self._paused = self._gauge(
            "subscription_paused", "1 if the subscription is paused, else 0.", "subscription"
        )
        self._silence = self._gauge(
            "webhook_silence_users", "Users created just in time without a user.created."
        )
        # Alerts are about the increase of these, and a series has none when it begins with 1.
        for code in ("signature_invalid", "storage_unavailable", "internal_error"):
            self._refusals(code)
        for operation in ("fetch", "list"):
            self._clerk(operation, "401")

    def delivery(self, event_type: str | None, outcome: str, *, is_journaled: bool = True) -> None:
        kind = event_type if event_type in FOLLOWED_EVENTS else "other"
        self._deliveries(kind, outcome).inc()
        if is_journaled:  # what is left alone does not show that webhooks about users arrive
            self._delivered(time())

    def refusal(self, code: str) -> None:
        self._refusals(code).inc()

    def conflict(self) -> None:
        self._conflicts().inc()

    def lag(self, occurred_at: datetime) -> None:
        self._lag.observe(max(0.0, (datetime.now(UTC) - occurred_at).total_seconds()))

    def jit(self, outcome: str) -> None:
        self._jit(outcome).inc()

    def clerk_call(self, operation: str, status: str) -> None:
        self._clerk(operation, status).inc()

    def session(self, outcome: str) -> None:
        self._sessions(outcome).inc()

    def request(self, route: str, status: int, seconds: float) -> None:
        self._requests(route, status).inc()
        self._durations(route).observe(seconds)

    def store_silent(self) -> None:
        """The store did not answer a scrape. The figures from it keep their last values."""
        self._store_answers.set(0)

    def store_told(
        self,
        *,
        quarantined: int,
        silent_users: int,
        went_back: bool,
        last_delivery_at: datetime | None,
        last_full_at: datetime | None = None,
        last_poll_at: datetime | None = None,
    ) -> None:
        """Set the figures that the store gave for a scrape."""
        self._store_answers.set(1)
        self._quarantine.set(quarantined)
        self._silence.set(silent_users)
        self._went_back.set(went_back)
        if last_delivery_at is not None:
            self._delivered(last_delivery_at.timestamp())
        if last_full_at is not None:
            self._last_reconcile.set(last_full_at.timestamp())
        if last_poll_at is not None:
            self._last_poll.set(last_poll_at.timestamp())

    def change_attempted(self, subscription: str, outcome: str, seconds: float) -> None:
        self._changes(subscription, outcome).inc()
        self._change_durations(subscription).observe(seconds)

    def subscription_held(self, subscription: str, *, is_held: bool) -> None:
        self._held.labels(subscription).set(is_held)

    def subscriptions(self, standings: Sequence[SubscriptionStanding]) -> None:
        """Set the figures of every subscription, whichever process runs it, and of no other."""
        levels = (self._behind, self._behind_seconds, self._fell_behind)
        for gauge in (*levels, self._aside, self._paused):
            gauge.clear()
        for one in standings:
            self._behind.labels(one.name).set(one.behind)
            self._behind_seconds.labels(one.name).set(one.behind_seconds)
            self._fell_behind.labels(one.name).set(one.fell_behind)
            self._aside.labels(one.name, "waiting").set(one.waiting)
            self._aside.labels(one.name, "parked").set(one.parked)
            self._paused.labels(one.name).set(one.paused_at is not None)

    def last_sweep(self, sweep: Sweep) -> None:
        """Set the figures of the last full comparison, of any replica or command."""
        for kind in (*DriftKind, UNREADABLE):
            self._drift.labels(kind).set(sweep.found.get(kind, 0))
        self._drift_left.set(sweep.left)

    def reconcile_is_regular(self, every: timedelta) -> None:
        self._reconcile_every.set(every.total_seconds())

    def poll_is_regular(self, every: timedelta) -> None:
        self._poll_every.set(every.total_seconds())

    def job_failed(self, job: str) -> None:
        self._job_failures(job).inc()

    def event_loop_lag(self, seconds: float) -> None:
        self._loop_lag.observe(seconds)

    def watch_keys(self, age: Callable[[], float]) -> None:
        """Let a scrape read the age of the signing keys, in seconds. A worker has no keys."""
        self._gauge(
            "signing_keys_age_seconds",
            "Age of the signing keys: 0 if pinned, +Inf before they are first fetched.",
        ).set_function(age)

    def watch_pool(self, size: Callable[[], int], in_use: Callable[[], int]) -> None:
        """Let a scrape read these, instead of updating them on every request."""
        self._pool_size.set_function(size)
        self._pool_in_use.set_function(in_use)

    def watch_log(self, lines: LogWriter) -> None:
        """Let a scrape read the number of log lines that were dropped."""
        self._registry.register(_DroppedLines(lines))

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(_WithoutCreated(self._registry))

    def _delivered(self, moment: float) -> None:
        """Note a delivery, to this replica or to another one by the store's record."""
        self._last_delivery_at = max(self._last_delivery_at, moment)
        self._last_delivery.set(self._last_delivery_at)

    def _counters(self, name: str, help_text: str, *labels: str) -> Callable[..., Counter]:
        """A function from labels to their counter. Cached: the lookup costs more than counting."""
        counter = Counter(f"{PREFIX}{name}", help_text, labels, registry=self._registry)
        return cache(counter.labels) if labels else lambda: counter

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}{name}", help_text, labels, registry=self._registry)

    def _histogram(
        self, name: str, help_text: str, buckets: Sequence[float], *labels: str
    ) -> Histogram:
        return Histogram(
            f"{PREFIX}{name}", help_text, labels, buckets=buckets, registry=self._registry
        )

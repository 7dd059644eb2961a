"""The metrics: right numbers, and labels that no request can choose."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.errors import StorageUnavailable
from domain.user import Outcome
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.errors import INTERNAL_ERROR, STATUSES
from tests.adapters.clerk.payloads import ADA, envelope, webhook_bytes, with_data
from tests.e2e.processes import eventually
from tests.people import new_id
from tests.postgres_server import Sql
from tests.running import WEBHOOKS, Service, bearer, running_service, svix_headers


@pytest.fixture
async def counting(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    """A service that has counted nothing yet."""
    async with running_service(clerk, store_url) as service:
        yield service


@pytest.fixture
async def hurried(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    """A service with a short deadline for Clerk."""
    async with running_service(clerk, store_url, jit_deadline=0.5) as service:
        yield service


def signed_up(clerk: ClerkEmulator) -> str:
    return str(clerk.create_user(email_address=[f"{new_id()}@example.com"])["id"])


DELIVERIES = [
    ("user.created", "user.created", "created"),
    ("user.updated", "user.updated", "updated"),
    ("user.updated", "user.updated", "unchanged"),
    ("user.updated.stale_older_than_updated", "user.updated", "stale"),
    ("user.deleted", "user.deleted", "deleted"),
    ("user.updated", "user.updated", "gone"),
    ("session.created", "other", "event_not_followed"),
    ("unknown.event", "other", "event_not_followed"),
]


async def test_deliveries_are_counted_by_type_and_outcome(counting: Service) -> None:
    for name, _, _ in DELIVERIES:
        await counting.deliver(webhook_bytes(name))
    counted = {
        (dict(labels)["type"], dict(labels)["outcome"]): value
        for (name, labels), value in (await counting.samples()).items()
        if name == "webhook_deliveries_total"
    }
    expected = [(kind, outcome) for _, kind, outcome in DELIVERIES]
    assert counted == {pair: expected.count(pair) for pair in expected}


REFUSALS: list[tuple[dict[str, str], bytes, str]] = [
    ({}, b"{}", "signature_invalid"),
    ({"content-type": "text/plain"}, b"{}", "body_not_json"),
    ({}, b"x" * (1024 * 1024 + 1), "body_too_large"),
    ({"content-length": "x"}, b"{}", "body_length_invalid"),
]


@pytest.mark.parametrize(("headers", "body", "code"), REFUSALS)
async def test_refusals_are_counted_by_their_word(
    counting: Service, headers: dict[str, str], body: bytes, code: str
) -> None:
    for _ in range(2):
        await counting.http.post(WEBHOOKS, content=body, headers=headers)
    assert await counting.metric("webhook_refusals_total", code=code) == 2


async def test_lag_is_from_the_envelopes_time_to_our_commit(counting: Service) -> None:
    milliseconds = int(datetime.now(UTC).timestamp() * 1000) - 3_000
    await counting.deliver(with_data(updated_at=milliseconds) | {"timestamp": milliseconds})
    longest = datetime.now(UTC).timestamp() - milliseconds / 1000
    assert await counting.metric("sync_lag_seconds_count") == 1
    assert 3.0 <= await counting.metric("sync_lag_seconds_sum") <= longest


async def test_an_envelope_from_the_future_has_no_lag(counting: Service) -> None:
    ahead = int(datetime.now(UTC).timestamp() * 1000) + 60_000
    await counting.deliver(envelope(timestamp=ahead))
    assert await counting.metric("sync_lag_seconds_sum") == 0


async def test_the_last_delivery_is_remembered(counting: Service) -> None:
    assert await counting.metric("webhook_last_delivery_timestamp_seconds") == 0
    before = datetime.now(UTC).timestamp()
    await counting.deliver(webhook_bytes("user.created"))
    last = await counting.metric("webhook_last_delivery_timestamp_seconds")
    assert before <= last <= datetime.now(UTC).timestamp()


async def test_just_in_time_fetches_are_counted_by_outcome(
    counting: Service, clerk: ClerkEmulator
) -> None:
    known = signed_up(clerk)
    for user_id in (known, known, "user_nobody", "user_nobody"):
        await counting.me(clerk.session_token(user_id))
    clerk.faults.add(ApiFault(kind=FaultKind.HTML, status=200, times=1))
    await counting.me(clerk.session_token(signed_up(clerk)))
    for outcome in ("created", "unknown", "unknown_remembered", "unavailable"):
        assert await counting.metric("jit_fetches_total", outcome=outcome) == 1, outcome


async def test_a_fetch_that_came_to_its_deadline_is_counted_as_one(
    hurried: Service, clerk: ClerkEmulator
) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.HOLD))
    await hurried.me(clerk.session_token(signed_up(clerk)))
    assert await hurried.metric("jit_fetches_total", outcome="deadline") == 1


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (None, "200"),
        (ApiFault(kind=FaultKind.ERROR, status=401), "401"),
        (ApiFault(kind=FaultKind.ERROR, status=418), "4xx"),
        (ApiFault(kind=FaultKind.REDIRECT), "3xx"),
        (ApiFault(kind=FaultKind.GZIP_BOMB, size=1000), "unusable"),
    ],
)
async def test_calls_to_clerk_are_counted_by_status(
    counting: Service, clerk: ClerkEmulator, fault: ApiFault | None, status: str
) -> None:
    if fault is not None:
        clerk.faults.add(fault)
    await counting.me(clerk.session_token(signed_up(clerk)))
    labels = {"operation": "fetch", "status": status}
    assert await counting.metric("clerk_requests_total", **labels) == 1


async def test_calls_of_a_poll_are_counted_too(clerk: ClerkEmulator, store_url: str) -> None:
    clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=401, on="GetUserList"))
    labels = frozenset({("operation", "list"), ("status", "401")})
    async with running_service(clerk, store_url, poll_every=1) as service:

        async def is_counted() -> bool:
            return (await service.samples())["clerk_requests_total", labels] >= 1

        await eventually(is_counted)


async def test_sessions_are_counted_by_outcome(counting: Service, clerk: ClerkEmulator) -> None:
    await counting.session(clerk.session_token(ADA))
    await counting.session("nonsense")
    await counting.session(clerk.session_token(ADA, sts="pending"))
    for outcome in ("proven", "InvalidSession", "SessionPending"):
        assert await counting.metric("sessions_total", outcome=outcome) == 1, outcome


async def test_requests_are_counted_by_route_and_status(counting: Service) -> None:
    for path in ("/v1/me", "/a", "/b/c", "/v1/me/x"):
        await counting.http.get(path)
    assert await counting.metric("http_requests_total", route="/v1/me", status="401") == 1
    assert await counting.metric("http_requests_total", route="unmatched", status="404") == 3
    assert await counting.metric("http_request_duration_seconds_count", route="/v1/me") == 1


async def test_a_route_has_no_fault_before_its_first(counting: Service) -> None:
    """An alert is about the increase of these, and a series has none when it begins with 1."""
    await counting.http.get("/v1/me")
    labels = frozenset({("route", "/v1/me"), ("status", "500")})
    assert (await counting.samples())["http_requests_total", labels] == 0


async def test_the_pool_is_watched(counting: Service, sql: Sql) -> None:
    async def one_is_in_use() -> bool:
        return await counting.metric("store_pool_connections_in_use") == 1

    async def none_is_in_use() -> bool:
        return await counting.metric("store_pool_connections_in_use") == 0

    await eventually(none_is_in_use)  # the service's jobs begin with a look at the store
    await counting.deliver(webhook_bytes("user.created"))
    async with sql.transaction():
        await sql.execute("select from users for update")
        waiting = asyncio.create_task(counting.deliver(webhook_bytes("user.updated")))
        await eventually(one_is_in_use)
        assert await counting.metric("store_pool_connections") >= 2
    await waiting
    assert await counting.metric("store_pool_connections_in_use") == 0


async def test_the_quarantine_is_counted_at_a_scrape(counting: Service) -> None:
    assert await counting.metric("quarantine_size") == 0
    for _ in range(3):
        await counting.deliver(b"poison")
    assert await counting.metric("quarantine_size") == 3


async def test_without_a_store_there_are_still_metrics(clerk: ClerkEmulator) -> None:
    async with running_service(clerk, "postgresql://u:p@127.0.0.1:1/nowhere") as service:
        answer = await service.http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


EVENT_TYPES = [
    "",
    "a" * 10_000,
    '"} 1\n',
    "\x00",
    "user.created ",
    "user.*",
    "💥",
    "a\\b",
    "__name__",
]
VOCABULARIES = {
    "type": {"user.created", "user.updated", "user.deleted", "other"},
    "code": {
        *(error.code for error in STATUSES),
        *(StorageUnavailable.code, INTERNAL_ERROR[1]),
        *(f"body_{word}" for word in ("not_json", "too_large", "too_slow", "length_invalid")),
    },
    "operation": {"fetch", "list", "count", "update", "session", "memberships", "jwks"},
    "route": {
        *(WEBHOOKS, f"{WEBHOOKS}/", "/v1/me", "/v1/session"),
        *("/healthz", "/readyz", "/metrics", "unmatched"),
    },
    "outcome": {
        *Outcome,
        *("quarantined", "event_not_followed", "other_instance"),
        *("unknown", "unknown_remembered", "unavailable", "deadline"),
        *("proven", "InvalidSession", "SessionPending", "SigningKeysUnavailable"),
    },
}


async def be_hostile(service: Service, clerk: ClerkEmulator) -> None:
    """Every input from outside that could reach a label."""
    for number, event_type in enumerate(EVENT_TYPES):
        await service.deliver(envelope(type=event_type))
        await service.deliver(envelope(instance_id=f"ins_{number}"))
        await service.deliver(with_data(id=f"user_{number}", first_name="\x00"))
        await service.http.get(f"/nope/{number}")
        await service.http.request(f"METHOD{number}", WEBHOOKS)
        await service.me(clerk.session_token(f"user_unknown{number}"))
        await service.me(clerk.session_token(ADA, azp=event_type))
    for name, _, _ in DELIVERIES:
        await service.deliver(webhook_bytes(name))
    for headers, body, _ in REFUSALS:
        for path in (WEBHOOKS, f"{WEBHOOKS}/"):
            await service.http.post(path, content=body, headers=headers)
    await service.session(clerk.session_token(ADA, sts="pending"))
    for path in ("/v1/me", "/v1/session", "/healthz", "/readyz", "/metrics"):
        for method in ("GET", "HEAD", "POST"):
            await service.http.request(method, path, headers=bearer(clerk.session_token(ADA)))
    for status in (200, 299, 302, 400, 404, 418, 429, 451, 500, 502, 503, 504, 599, 401):
        clerk.faults.add(ApiFault(kind=FaultKind.HTML, status=status, times=1))
        await service.me(clerk.session_token(signed_up(clerk)))
    headers = svix_headers(service.secret, b"{}") | {"svix-id": "msg_x"}
    await service.http.post(WEBHOOKS, content=b"{}", headers=headers)


@pytest.mark.usefixtures("store_url")
async def test_labels_come_from_closed_vocabularies_and_series_stay_few(
    hurried: Service, clerk: ClerkEmulator
) -> None:
    await be_hostile(hurried, clerk)
    samples = await hurried.samples()
    for _, labels in samples:
        for label, value in labels:
            assert label in {"le", "status"} or value in VOCABULARIES[label], (label, value)
            assert label != "status" or value in _STATUSES, value
    assert len(samples) < 200


_STATUSES = {str(status) for status in range(100, 600)} | {
    *("1xx", "2xx", "3xx", "4xx", "5xx"),
    *("timeout", "refused", "untrusted", "error", "unusable", "cancelled"),
}


async def test_what_a_refused_delivery_says_is_in_no_metric(counting: Service) -> None:
    body = json.dumps(envelope(type="canary.created")).encode()
    headers: dict[str, Any] = {"svix-id": "canary", "user-agent": "canary"}
    await counting.http.post(f"{WEBHOOKS}?canary", content=body, headers=headers)
    await counting.deliver(envelope(type="canary.created"))
    assert "canary" not in (await counting.http.get("/metrics")).text

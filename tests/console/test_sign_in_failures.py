"""Sign-ins that fail: the audit trail, and how often an address may guess."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.console.access import Limit, network_of
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.console.signed_in import GRANTS, TRAIL, trail
from tests.console.visitors import OPERATOR, TOKENS, visitor_of
from tests.postgres_server import Sql
from tests.running import Service, running_service


@pytest.fixture
async def behind_a_proxy(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    """ASGITransport's client is at 127.0.0.1."""
    settings = {**TOKENS, "trusted_proxies": "127.0.0.1, 10.0.0.0/8"}
    async with running_service(clerk, store_url, **settings) as service:
        yield service


async def test_failures_lock_no_operator_out(own_service: Service, sql: Sql) -> None:
    async with visitor_of(own_service.app) as visitor:
        empty = [(await visitor.sign_in("")).status_code for _ in range(12)]
        assert empty == [401] * 12
        assert await trail(sql) == []
        wrong = [(await visitor.sign_in(f"guess {n}")).status_code for n in range(12)]
        assert wrong == [401] * 10 + [429] * 2
        assert (await visitor.sign_in("guess")).headers["retry-after"] == "60"
        assert (await visitor.sign_in(OPERATOR)).status_code == 303
        assert (await visitor.get("/audit")).status_code == 200


async def test_failures_are_on_the_trail_without_an_address_of_a_person(
    own_service: Service, sql: Sql
) -> None:
    async with visitor_of(own_service.app) as visitor:
        for n in range(12):
            await visitor.sign_in(f"guess {n}")
    rows = await sql.fetch(TRAIL)
    assert [tuple(row)[:4] for row in rows] == [
        ("unknown", "sign in", None, "refused: a wrong token")
    ] * 10
    assert {row["detail"] for row in rows} == {'{"network": "127.0.0.0/24"}'}
    assert "guess" not in repr(rows)


async def test_a_user_who_is_on_no_list_is_named_on_the_trail(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with visitor_of(for_sessions.app) as visitor:
        headers = {"cookie": f"__session={clerk.session_token('user_stranger')}"}
        assert (await visitor.post("/sign-in", headers=headers)).status_code == 401
    assert await trail(sql) == [
        ("user_stranger", "sign in", None, "refused: the user is on no list")
    ]


@pytest.mark.parametrize(
    ("claims", "is_deleted", "reason"),
    [
        ({}, True, "the user is deleted or banned"),
        ({"act": {"sub": "user_impostor"}}, False, "another person impersonates the user"),
    ],
)
async def test_a_listed_user_who_is_refused_is_not_recorded_as_on_no_list(
    for_sessions: Service,
    clerk: ClerkEmulator,
    sql: Sql,
    claims: dict[str, Any],
    reason: str,
    *,
    is_deleted: bool,
) -> None:
    if is_deleted:
        await for_sessions.deliver(webhook_bytes("user.deleted"))
    async with visitor_of(for_sessions.app) as visitor:
        headers = {"cookie": f"__session={clerk.session_token(ADA, **claims)}"}
        assert (await visitor.post("/sign-in", headers=headers)).status_code == 401
    assert await trail(sql) == [(ADA, "sign in", None, f"refused: {reason}")]


async def test_a_session_that_cannot_be_checked_yet_is_not_said_to_be_missing(
    own_clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    own_clerk.faults.add(ApiFault(kind=FaultKind.ERROR, status=503, on="jwks"))
    async with (
        running_service(own_clerk, store_url, **GRANTS, **TOKENS) as service,
        visitor_of(service.app) as visitor,
    ):
        headers = {"cookie": f"__session={own_clerk.session_token(ADA)}"}
        answer = await visitor.post("/sign-in", headers=headers)
        assert (answer.status_code, "No session can be checked yet" in answer.text) == (503, True)
        assert await trail(sql) == []
        with_token = await visitor.post("/sign-in", {"token": OPERATOR}, headers)
        assert with_token.status_code == 303


async def guesses(service: Service, forwarded: str, count: int) -> list[int]:
    async with visitor_of(service.app) as visitor:
        headers = {"x-forwarded-for": forwarded}
        return [
            (await visitor.post("/sign-in", {"token": "guess"}, headers)).status_code
            for _ in range(count)
        ]


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("203.0.113.7", "203.0.113.7", True),
        ("198.51.100.1, 203.0.113.7", "198.51.100.2, 203.0.113.7", True),  # what a client wrote
        ("203.0.113.7, 10.1.1.1", "203.0.113.8, 10.1.1.1", False),
        ("203.0.113.7:5000", "203.0.113.7:5001", True),
        ("2001:db8::1", "2001:db8::2", True),  # one subscriber has at least a /64
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("[2001:db8::1]:5000", "[2001:db8::2]:5001", True),
        ("", "", True),
        ("nonsense", "other nonsense", False),
    ],
)
async def test_behind_a_trusted_proxy_addresses_are_told_apart(
    behind_a_proxy: Service, first: str, second: str, *, is_same: bool
) -> None:
    await guesses(behind_a_proxy, first, 10)
    assert await guesses(behind_a_proxy, second, 1) == [429 if is_same else 401]


async def test_without_trusted_proxies_a_header_tells_nothing(own_service: Service) -> None:
    for n in range(10):
        await guesses(own_service, f"203.0.113.{n}", 1)
    assert await guesses(own_service, "203.0.113.99", 1) == [429]


def test_a_limit_counts_within_a_minute() -> None:
    now = 0.0
    limit = Limit(2, clock=lambda: now)
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert limit.allows("b")
    now = 61.0
    assert limit.allows("a")


def test_of_very_many_addresses_the_oldest_is_forgotten() -> None:
    limit = Limit(1)
    assert all(limit.allows(str(n)) for n in range(5000))
    assert not limit.allows("4999")
    assert limit.allows("0")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network

"""A sign-in ends with its ground, everywhere at once; its cookie, and how often one may guess."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.console.access import Limit, network_of
from service.console.sign_ins import CONFIRM_EVERY, UNCONFIRMED_FOR
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.console.visitors import COOKIE, OPERATOR, READER, TOKENS, Visitor, proof_in, visitor_of
from tests.running import Service, running_service
from tests.service.tables import Sql

ORGANISATION = "org_2abc"
GRANTS: dict[str, Any] = {
    "console_readers": f"{ADA},{ORGANISATION}:member",
    "console_operators": f"user_operator,{ORGANISATION}:admin",
}
ADMIN = {"o": {"id": ORGANISATION, "rol": "admin"}}
AGES = "update console_sessions set confirmed_at = confirmed_at - $1::interval"
TRAIL = "select who, action, target, result, detail from operator_actions order by id"


@pytest.fixture
async def for_sessions(clerk: ClerkEmulator, store_url: str) -> AsyncIterator[Service]:
    async with running_service(clerk, store_url, **GRANTS) as service:
        yield service


class Browser(Visitor):
    """With Clerk's cookie beside ours."""

    def show(self, token: str | None) -> None:
        """What the application's own pages have put into Clerk's cookie."""
        self.http.cookies.delete("__session") if "__session" in self.http.cookies else None
        if token is not None:
            self.http.cookies.set("__session", token, domain="localhost.local")


@asynccontextmanager
async def signed_in(
    service: Service, clerk: ClerkEmulator, user: str = ADA, **claims: Any
) -> AsyncIterator[Browser]:
    async with visitor_of(service.app) as visitor:
        browser = Browser(visitor.http)
        browser.show(clerk.session_token(user, **claims))
        assert (await browser.post("/sign-in")).status_code == 303
        assert (await browser.get()).status_code == 200
        yield browser


async def trail(sql: Sql) -> list[tuple[Any, ...]]:
    return [tuple(row)[:4] for row in await sql.fetch(TRAIL)]


def expired(clerk: ClerkEmulator, user: str = ADA) -> str:
    return clerk.session_token(user, exp=1, iat=0, nbf=0)


@pytest.mark.parametrize("name", ["user.deleted", "user.updated.banned"])
async def test_it_ends_when_its_user_is_deleted_or_banned(
    for_sessions: Service, clerk: ClerkEmulator, name: str, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        await for_sessions.deliver(webhook_bytes(name))
        assert (await browser.get()).status_code == 401
    assert (await trail(sql))[-1] == (ADA, "sign-in ended", None, "the user is deleted or banned")


async def test_it_ends_when_another_user_is_in_the_same_browser(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(clerk.session_token("user_operator"))
        assert (await browser.get()).status_code == 401
        browser.show(clerk.session_token(ADA))
        assert (await browser.get()).status_code == 401
    assert (await trail(sql))[-1][3] == "another user in this browser"


async def test_it_ends_when_the_application_is_signed_out_of(
    for_sessions: Service, clerk: ClerkEmulator
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(None)
        assert (await browser.get()).status_code == 401


async def test_it_ends_when_the_user_signs_in_anew(
    for_sessions: Service, clerk: ClerkEmulator
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(clerk.session_token(ADA, sid="sess_another"))
        assert (await browser.get()).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"o": {"id": ORGANISATION, "rol": "member"}},
        {"o": {"id": ORGANISATION, "rol": "guest"}},
        {"o": {"id": "org_another", "rol": "admin"}},
        {},
        {**ADMIN, "act": {"sub": "user_impostor"}},
    ],
)
async def test_it_ends_when_a_fresh_token_has_lost_the_role(
    for_sessions: Service, clerk: ClerkEmulator, claims: dict[str, Any], sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk, "user_admin", **ADMIN) as browser:
        browser.show(clerk.session_token("user_admin", **claims))
        assert (await browser.get("/audit")).status_code == 401
    assert (await trail(sql))[-1][3] == "the session no longer has that permission"


async def test_clerk_is_not_asked_at_each_request(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(expired(clerk))
        clerk.calls.clear()
        for _ in range(3):
            assert (await browser.get("/audit")).status_code == 200
        assert clerk.calls.count("GetSession") == 0
        await sql.execute(AGES, CONFIRM_EVERY)
        for _ in range(3):
            assert (await browser.get("/audit")).status_code == 200
        assert clerk.calls.count("GetSession") == 1


async def test_a_fresh_token_in_the_browser_spares_clerk(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        await sql.execute(AGES, CONFIRM_EVERY)
        clerk.calls.clear()
        assert (await browser.get("/audit")).status_code == 200
        browser.show(expired(clerk))
        assert (await browser.get("/audit")).status_code == 200
        assert clerk.calls.count("GetSession") == 0


async def test_within_a_minute_it_ends_with_its_clerk_session(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(expired(clerk))
        for session in clerk.sessions.active_of(ADA):
            clerk.revoke_session(session.id)
        await sql.execute(AGES, CONFIRM_EVERY)
        assert (await browser.get("/audit")).status_code == 401
    assert (await trail(sql))[-1][3] == "the session has ended at Clerk"


@pytest.mark.parametrize(
    ("roles", "status"),
    [
        ({ORGANISATION: "org:admin"}, 200),
        ({ORGANISATION: "org:member"}, 401),
        ({"org_another": "org:admin"}, 401),
        ({}, 401),
    ],
)
async def test_within_a_minute_it_ends_with_its_role(
    *, for_sessions: Service, clerk: ClerkEmulator, roles: dict[str, str], status: int, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk, "user_admin", **ADMIN) as browser:
        browser.show(expired(clerk, "user_admin"))
        clerk.set_roles("user_admin", **roles)
        await sql.execute(AGES, CONFIRM_EVERY)
        assert (await browser.get("/audit")).status_code == status


async def test_while_clerk_is_away_it_lasts_some_minutes(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(expired(clerk))
        clerk.faults.add(ApiFault(kind=FaultKind.REDIRECT))
        await sql.execute(AGES, CONFIRM_EVERY)
        assert (await browser.get("/audit")).status_code == 200
        await sql.execute(AGES, UNCONFIRMED_FOR)
        assert (await browser.get("/audit")).status_code == 503
        clerk.faults.clear()
        assert (await browser.get("/audit")).status_code == 200


async def test_it_ends_when_the_settings_no_longer_permit_it(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with running_service(clerk, store_url, **GRANTS, **TOKENS) as service:
        async with signed_in(service, clerk) as browser:
            cookies = {name: browser.http.cookies[name] for name in (COOKIE, "__session")}
        async with visitor_of(service.app) as visitor:
            await visitor.sign_in(OPERATOR)
            operator = {COOKIE: visitor.http.cookies[COOKIE]}
    fewer = {**GRANTS, **TOKENS, "console_readers": "", "console_token": "x" * 32}
    async with running_service(clerk, store_url, **fewer) as service:
        assert (await seen(service, cookies)).status_code == 401
        assert (await seen(service, operator)).status_code == 200
    changed = {**TOKENS, "console_operator_token": "y" * 32}
    async with running_service(clerk, store_url, **changed) as service:
        assert (await seen(service, operator)).status_code == 401


async def seen(service: Service, cookies: dict[str, str]) -> httpx.Response:
    header = "; ".join(f"{name}={text}" for name, text in cookies.items())
    headers = {"cookie": header, "host": "localhost"}
    return await service.http.get("/console/audit", headers=headers)


async def test_an_operator_who_becomes_a_reader_can_no_longer_act(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with (
        running_service(clerk, store_url, console_operators=ADA) as service,
        signed_in(service, clerk) as browser,
    ):
        cookies = {name: browser.http.cookies[name] for name in (COOKIE, "__session")}
        assert (await browser.get("/drift/check")).status_code == 200
    async with running_service(clerk, store_url, console_readers=ADA) as service:
        headers = {
            "cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()),
            "host": "localhost",
        }
        answer = await service.http.get("/console/drift/check", headers=headers)
        assert answer.status_code == 403


async def test_signing_out_ends_it_on_every_replica(
    service: Service, operator: Visitor, clerk: ClerkEmulator, store_url: str, sql: Sql
) -> None:
    stolen = {COOKIE: operator.http.cookies[COOKIE]}
    async with running_service(clerk, store_url, **TOKENS) as replica:
        assert (await seen(replica, stolen)).status_code == 200
        await operator.post("/sign-out")
        assert (await seen(replica, stolen)).status_code == 401
        assert (await seen(service, stolen)).status_code == 401
    assert await sql.fetchval("select count(*) from console_sessions") == 0
    assert (await trail(sql))[-1] == ("operator token", "sign out", None, "signed out")


async def test_signing_out_ends_every_sign_in_of_a_clerk_user(
    for_sessions: Service, clerk: ClerkEmulator
) -> None:
    async with (
        signed_in(for_sessions, clerk) as one,
        signed_in(for_sessions, clerk) as another,
        signed_in(for_sessions, clerk, "user_operator") as other_user,
    ):
        await one.post("/sign-out")
        assert (await another.get("/audit")).status_code == 401
        assert (await other_user.get("/audit")).status_code == 200


async def test_signing_in_anew_ends_the_sign_in_before(operator: Visitor, service: Service) -> None:
    before = {COOKIE: operator.http.cookies[COOKIE]}
    await operator.sign_in(READER)
    assert (await seen(service, before)).status_code == 401
    assert (await operator.get("/drift/check")).status_code == 403


async def test_it_expires(operator: Visitor, sql: Sql) -> None:
    await sql.execute("update console_sessions set expires_at = now()")
    assert (await operator.get("/audit")).status_code == 401
    await operator.sign_in(OPERATOR)
    assert await sql.fetchval("select count(*) from console_sessions") == 1


async def test_the_store_has_neither_the_token_nor_the_cookie(operator: Visitor, sql: Sql) -> None:
    rows = repr([tuple(row) for row in await sql.fetch("select * from console_sessions")])
    for secret in (OPERATOR, operator.http.cookies[COOKIE]):
        assert secret not in rows
        assert secret.encode().hex() not in rows


async def test_the_proof_of_a_form_ends_with_its_sign_in(operator: Visitor, sql: Sql) -> None:
    proof = proof_in(await operator.get("/drift/check"))
    await operator.sign_in(OPERATOR)
    assert (await operator.post("/drift/check", {"form_proof": proof})).status_code == 403


SECURE = {"httponly", "max-age=28800", "path=/", "samesite=strict", "secure"}
PLAIN = {"httponly", "max-age=28800", "path=/console", "samesite=strict"}


def cookie_of(answer: httpx.Response) -> tuple[str, set[str]]:
    named, *parts = answer.headers["set-cookie"].split(";")
    return named.partition("=")[0], {part.strip().lower() for part in parts}


@pytest.mark.parametrize(
    "origin", ["http://localhost", "http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]"]
)
async def test_at_plain_http_on_this_machine_the_cookie_is_not_secure(
    nobody: Visitor, origin: str
) -> None:
    headers = {"origin": origin, "sec-fetch-site": "same-origin"}
    answer = await nobody.post("/sign-in", {"token": OPERATOR}, headers)
    assert cookie_of(answer) == ("console", PLAIN)
    assert OPERATOR not in answer.headers["set-cookie"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "console.example"])
@pytest.mark.parametrize(
    "origin",
    ["https://console.example", "https://localhost", "https://127.0.0.1:8443", "null", ""],
)
async def test_anywhere_else_it_is_whatever_the_host_header_says(
    nobody: Visitor, host: str, origin: str
) -> None:
    """A proxy that ends TLS on this machine may send any Host, and no other header."""
    headers = {"host": host, "origin": origin, "sec-fetch-site": "same-origin"}
    answer = await nobody.post("/sign-in", {"token": OPERATOR}, headers)
    assert cookie_of(answer) == ("__Host-console", SECURE)


@pytest.mark.parametrize("host", ["a/?b", "[::1", "localhost:99999999", "", "x" * 1000, "é"])
async def test_no_host_upsets_a_sign_in(nobody: Visitor, host: str) -> None:
    answer = await nobody.http.post(
        "/console/sign-in", data={"token": OPERATOR}, headers=[(b"host", host.encode())]
    )
    assert (answer.status_code, cookie_of(answer)[1]) == (303, SECURE)


@pytest.mark.parametrize("origin", ["http://console.example", "http://10.0.0.7:8000"])
async def test_plain_http_to_another_machine_is_refused_with_the_reason(
    nobody: Visitor, origin: str
) -> None:
    headers = {"origin": origin, "sec-fetch-site": "same-origin"}
    answer = await nobody.post("/sign-in", {"token": OPERATOR}, headers)
    assert (answer.status_code, "needs https" in answer.text) == (400, True)


async def test_a_plain_cookie_counts_on_loopback_only(service: Service, operator: Visitor) -> None:
    """Another host of the same domain could plant it."""
    cookie = f"{COOKIE}={operator.http.cookies[COOKIE]}"
    for host, status in (("localhost", 200), ("console.example", 401)):
        headers = {"cookie": cookie, "host": host}
        answer = await service.http.get("/console/audit", headers=headers)
        assert answer.status_code == status


async def test_two_consoles_on_one_host_have_cookies_of_their_own(
    clerk: ClerkEmulator, store_url: str
) -> None:
    async with (
        running_service(clerk, store_url, **TOKENS) as service,
        visitor_of(service.app, root_path="/ops/sync") as visitor,
    ):
        assert cookie_of(await visitor.sign_in(OPERATOR))[0] == "console-ops-sync"
        headers = {"origin": "https://a.example", "sec-fetch-site": "same-origin"}
        answer = await visitor.post("/sign-in", {"token": OPERATOR}, headers)
        assert cookie_of(answer)[0] == "__Host-console-ops-sync"


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

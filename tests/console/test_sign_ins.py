"""A sign-in ends on every replica once it is no longer permitted, and by itself after some time."""

import time
from typing import Any

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.faults import ApiFault, FaultKind
from service.console.sign_ins import CONFIRM_EVERY, UNCONFIRMED_FOR
from tests.adapters.clerk.payloads import ADA, webhook_bytes
from tests.console.signed_in import GRANTS, ORGANISATION, signed_in, trail
from tests.console.visitors import COOKIE, OPERATOR, READER, TOKENS, Visitor, proof_in, visitor_of
from tests.postgres_server import Sql
from tests.running import Service, running_service

ADMIN = {"o": {"id": ORGANISATION, "rol": "admin"}}
AGES = "update console_sessions set confirmed_at = confirmed_at - $1::interval"


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


@pytest.mark.parametrize("opened_with_it", [True, False])
async def test_a_token_proves_its_session_for_a_minute_from_when_it_was_issued(
    *, for_sessions: Service, clerk: ClerkEmulator, opened_with_it: bool, sql: Sql
) -> None:
    now = int(time.time())
    half_a_minute: dict[str, Any] = {"iat": now - 31, "nbf": now - 31, "exp": now + 29}
    async with signed_in(for_sessions, clerk, **half_a_minute) as browser:
        await sql.execute(AGES, CONFIRM_EVERY / 2)
        if not opened_with_it:
            browser.show(clerk.session_token(ADA, **half_a_minute))
            assert (await browser.get("/audit")).status_code == 200
            await sql.execute(AGES, CONFIRM_EVERY / 2)
        browser.show(expired(clerk))
        for session in clerk.sessions.active_of(ADA):
            clerk.revoke_session(session.id)
        assert (await browser.get("/audit")).status_code == 401


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


async def test_a_clerk_that_is_too_slow_is_told_as_that(
    for_sessions: Service, clerk: ClerkEmulator, sql: Sql
) -> None:
    async with signed_in(for_sessions, clerk) as browser:
        browser.show(expired(clerk))
        clerk.faults.add(ApiFault(kind=FaultKind.HOLD))
        await sql.execute(AGES, UNCONFIRMED_FOR)
        page = (await browser.get("/audit")).text
    assert "the session cannot be confirmed: no answer in time" in page


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

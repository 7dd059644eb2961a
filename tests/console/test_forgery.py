"""An action is done only by a form of ours, sent by the page that showed it."""

import pytest

from tests.adapters.clerk.payloads import ADA
from tests.console.visitors import OPERATOR, Visitor, proof_in, visitor_of
from tests.postgres_server import Sql
from tests.running import Service

PATH = f"/users/{ADA}/sync"
FORM = "application/x-www-form-urlencoded"
DONE = "select count(*) from operator_actions where action <> 'sign in'"


async def proof_of(visitor: Visitor) -> str:
    return proof_in(await visitor.get(PATH))


@pytest.mark.parametrize("proof", ["", "0" * 64, "ü", "\0"])
async def test_without_our_proof_nothing_is_done(operator: Visitor, sql: Sql, proof: str) -> None:
    answer = await operator.post(PATH, {"confirmed": "nobody", "form_proof": proof})
    assert answer.status_code == 403
    assert await sql.fetchval(DONE) == 0


async def test_the_proof_of_another_sign_in_is_no_proof(
    operator: Visitor, service: Service, sql: Sql
) -> None:
    async with visitor_of(service.app) as another:
        await another.sign_in(OPERATOR)
        stolen = await proof_of(another)
    answer = await operator.post(PATH, {"confirmed": "nobody", "form_proof": stolen})
    assert answer.status_code == 403
    assert await sql.fetchval(DONE) == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://[::1"},
    ],
)
async def test_another_site_gets_nothing_done(
    operator: Visitor, sql: Sql, headers: dict[str, str]
) -> None:
    fields = {"confirmed": "nobody", "form_proof": await proof_of(operator)}
    assert (await operator.post(PATH, fields, headers)).status_code == 403
    assert await sql.fetchval(DONE) == 0


@pytest.mark.parametrize(
    "headers", [{"origin": ""}, {"sec-fetch-site": "same-origin"}, {"origin": "http://localhost"}]
)
async def test_our_own_page_gets_it_done(
    operator: Visitor, sql: Sql, headers: dict[str, str]
) -> None:
    fields = {"confirmed": "nobody", "form_proof": await proof_of(operator)}
    assert (await operator.post(PATH, fields, headers)).status_code == 303
    assert await sql.fetchval(DONE) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
async def test_no_other_site_signs_anybody_in_or_out(
    operator: Visitor, path: str, site: str
) -> None:
    answer = await operator.post(path, {"token": OPERATOR}, {"sec-fetch-site": site})
    assert answer.status_code == 403
    assert (await operator.get("/audit")).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"form_proof": "x"}', "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
        (b"", "", 415),
        (b"a=" + b"x" * 20_000, FORM, 413),
        (b"&".join(b"a%d=1" % number for number in range(30)), FORM, 400),
        (b"\xff\xfe", FORM, 400),
    ],
)
async def test_what_is_no_form_is_refused(
    operator: Visitor, content: bytes, kind: str, status: int
) -> None:
    answer = await operator.http.post(
        f"/console{PATH}", content=content, headers={"content-type": kind}
    )
    assert answer.status_code == status


async def test_after_signing_out_the_browser_is_not_let_in(operator: Visitor) -> None:
    await operator.post("/sign-out")
    assert (await operator.get()).status_code == 401


@pytest.mark.parametrize(
    ("after", "location"),
    [
        ("", "/console"),
        (
            "deliveries?outcome=stale&type=user.updated",
            "/console/deliveries?outcome=stale&type=user.updated",
        ),
        ("//evil.example", "/console/evil.example"),
        ("\\\\evil.example", "/console/evil.example"),
        ("https://evil.example", "/console/https://evil.example"),
        ("a\r\nSet-Cookie: x=y", "/console/a%0D%0ASet-Cookie:%20x=y"),
    ],
)
async def test_a_sign_in_leads_into_the_console_and_nowhere_else(
    nobody: Visitor, after: str, location: str
) -> None:
    assert (await nobody.sign_in(OPERATOR, after)).headers["location"] == location


async def test_a_link_from_elsewhere_is_followed_once_more_from_our_own_page(
    nobody: Visitor,
) -> None:
    """A strict cookie does not come along with the first."""
    navigating = {"sec-fetch-mode": "navigate", "sec-fetch-site": "cross-site"}
    answer = await nobody.http.get("/console/audit", headers=navigating)
    assert (answer.status_code, 'http-equiv="refresh"' in answer.text) == (200, True)


async def test_a_page_whose_sign_in_has_ended_is_loaded_again(nobody: Visitor) -> None:
    answer = await nobody.http.get("/console/deliveries", headers={"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-refresh"]) == (401, "true")


async def test_a_browser_is_led_to_the_sign_in_and_back(nobody: Visitor) -> None:
    navigating = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}
    answer = await nobody.http.get("/console/deliveries?outcome=stale", headers=navigating)
    assert answer.headers["location"] == "/console/sign-in?after=deliveries%3Foutcome%3Dstale"

"""The cookie of a sign-in: its name, its attributes, and where it counts."""

import httpx
import pytest

from scripts.clerk_emulator import ClerkEmulator
from tests.console.visitors import COOKIE, OPERATOR, TOKENS, Visitor, visitor_of
from tests.running import Service, running_service

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

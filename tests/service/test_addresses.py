"""Addresses with a certain meaning are normalised, and those that can never match are refused."""

import pytest
from pydantic import ValidationError

from tests.service.given_settings import GOOD, mistakes_of, settings

ORIGINS = {
    "http://localhost:3000": "http://localhost:3000",
    "http://localhost:3000/": "http://localhost:3000",
    "HTTPS://App.Example.com": "https://app.example.com",
    "https://app.example.com:443": "https://app.example.com",
    "http://app.example.com:80/": "http://app.example.com",
    "https://app.example.com:8443": "https://app.example.com:8443",
    "http://[::1]:3000": "http://[::1]:3000",
    "https://münchen.example": "https://xn--mnchen-3ya.example",
    "chrome-extension://abcdefgh": "chrome-extension://abcdefgh",
    "capacitor://localhost": "capacitor://localhost",
}


@pytest.mark.parametrize("name", ["clerk_authorized_parties", "cors_origins"])
@pytest.mark.parametrize("written", ORIGINS)
def test_an_origin_is_as_browsers_send_it(name: str, written: str) -> None:
    assert getattr(settings(**{name: f"{written},"}), name) == (ORIGINS[written],)


@pytest.mark.parametrize("name", ["clerk_authorized_parties", "cors_origins"])
@pytest.mark.parametrize(
    "written",
    [
        "localhost:3000",
        "canary.example.com",
        "//canary.example.com",
        "*",
        "https://*.canary.example.com",
        "https://canary.example.com/app",
        "https://canary.example.com?x",
        "https://canary.example.com:port",
        "https://canary.example.com:99999",
        "https://can ary.example.com",
        "https://user:canary@example.com",
        "https://canary.example.com;https://b.example.com",
        "https://\u2100canary.example.com",
        "null",
        "https://",
    ],
)
def test_an_origin_that_could_never_match_is_refused(name: str, written: str) -> None:
    (told,) = mistakes_of(**{**GOOD, name: f"https://good.example.com,{written}"})
    assert told.startswith(f"{name.upper()}: ")
    assert "canary" not in told


ISSUERS = [
    "https://clerk.example.com",
    "https://clerk.example.com/",
    "https://Clerk.Example.com:443",
    "https://clerk.example.com/.well-known/jwks.json",
    "https://clerk.example.com/.well-known/openid-configuration/",
]


@pytest.mark.parametrize("written", ISSUERS)
def test_an_issuer_may_be_written_with_the_path_of_its_keys(written: str) -> None:
    told = settings(clerk_issuer=written)
    assert told.issuer == "https://clerk.example.com"
    assert told.jwks_url == "https://clerk.example.com/.well-known/jwks.json"


def test_an_issuer_may_have_a_path_of_its_own() -> None:
    told = settings(clerk_issuer="https://app.example.com/__clerk/")
    assert told.issuer == "https://app.example.com/__clerk"


@pytest.mark.parametrize(
    "written",
    ["https://api.clerk.com", "https://api.clerk.com/v1", "https://API.clerk.com/v1/"],
)
def test_the_api_may_be_written_with_its_version(written: str) -> None:
    assert settings(clerk_api_url=written).clerk_api_url == "https://api.clerk.com"


@pytest.mark.parametrize("name", ["clerk_issuer", "clerk_api_url", "clerk_jwks_url"])
@pytest.mark.parametrize(
    "written",
    [
        "https://user:canary@example.com",
        "https://canary.example.com:port",
        "https://canary.example.com:70000",
        "https://canary.example.com/#here",
        "https://canary.exam\nple.com",
        "https://\u2100canary.example.com",
        "https://canary..example.com",
        "https:canary.example.com",
        "http://127.0.0.1.canary.example.com",
        "https://canary.example.com\\@example.org",
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(name: str, written: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**{name: written})
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.2", "[::1]", "clerk.localhost", "LOCALHOST"]
)
def test_plain_http_is_for_this_machine(host: str) -> None:
    assert settings(clerk_api_url=f"http://{host}:8401").clerk_api_url.startswith("http://")

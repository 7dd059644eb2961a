"""The proxy for an address, and the trusted certificate authorities."""

import ssl
from pathlib import Path

import httpx
import pytest

from adapters.clerk.network import Proxies, read_authorities, read_proxy

CLERK = "https://api.clerk.com/v1"
PROXY = "http://proxy.example:3128"
AUTHORITY = Path(__file__).parents[2] / "data" / "authority.pem"


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LocalHost", "localhost.", "clerk.localhost", "127.0.0.1", "127.0.0.2"),
        *("127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_this_machine_is_asked_without_a_proxy(scheme: str, host: str) -> None:
    everything = Proxies(http=PROXY, https=PROXY, every=PROXY)
    assert everything.of(f"{scheme}://{host}:8401/v1") is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1.example.com", "localhost.example.com", "128.0.0.1", "[::2]", "0.0.0.0"]
)
def test_what_only_looks_like_this_machine_is_not(host: str) -> None:
    assert Proxies(every=PROXY).of(f"https://{host}/") == PROXY


def test_each_scheme_has_its_proxy_and_the_rest_has_that_of_all() -> None:
    assert Proxies(http=PROXY).of(CLERK) is None
    assert Proxies(https=PROXY, every="http://other:1").of(CLERK) == PROXY
    assert Proxies(http="http://other:1", every=PROXY).of(CLERK) == PROXY
    assert Proxies().of(CLERK) is None


@pytest.mark.parametrize(
    "none",
    [
        "*",
        "api.clerk.com",
        "API.Clerk.com",
        "clerk.com",
        ".clerk.com",
        "*.clerk.com",
        "localhost, clerk.com",
        "clerk.com:443",
        "https://api.clerk.com",
        "localhost,fd07:b51a:cc66:f0::/64,clerk.com",
    ],
)
def test_no_proxy_names_hosts_and_all_under_them(none: str) -> None:
    assert Proxies(every=PROXY, none=none).of(CLERK) is None


@pytest.mark.parametrize(
    "none",
    [
        "",
        ",",
        "lerk.com",
        "clerk.com.example",
        "clerk.com:8443",
        "localhost,fd07:b51a:cc66:f0::/64",
        "10.0.0.0/8",
        "[::1]",
        "1.2.3.4/99",
        "::::",
        "\ud800",
        "%%%",
        "http://",
    ],
)
def test_no_proxy_names_no_others_and_nothing_in_it_is_in_the_way(none: str) -> None:
    assert Proxies(every=PROXY, none=none).of(CLERK) == PROXY


@pytest.mark.parametrize(
    ("none", "host"),
    [
        ("10.0.0.0/8", "10.1.2.3"),
        ("10.1.2.3", "10.1.2.3"),
        ("fd07:b51a:cc66:f0::/64", "[fd07:b51a:cc66:f0::2]"),
        ("[fd07::2]", "[fd07::2]"),
        ("10.1.2.3:8080", "10.1.2.3:8080"),
    ],
)
def test_no_proxy_names_addresses_and_networks(none: str, host: str) -> None:
    assert Proxies(every=PROXY, none=none).of(f"https://{host}/") is None
    assert Proxies(every=PROXY, none=none).of("https://11.1.2.3/") == PROXY


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("proxy.example:3128", "http://proxy.example:3128"),
        ("10.0.0.1:3128", "http://10.0.0.1:3128"),
        (" http://user:p%40ss@proxy.example ", "http://user:p%40ss@proxy.example"),
        ("socks://127.0.0.1:1080/", "socks5://127.0.0.1:1080/"),
        ("SOCKS5h://proxy.example", "SOCKS5h://proxy.example"),
    ],
)
async def test_a_proxy_as_people_write_it_can_be_used(written: str, meant: str) -> None:
    assert read_proxy(written) == meant
    await httpx.AsyncClient(proxy=read_proxy(written), trust_env=False).aclose()


@pytest.mark.parametrize(
    "written", ["", "ftp://canary", "http://user:can/ary@h:1", "http://h:canary", "http://[canary"]
)
def test_a_proxy_that_cannot_be_used_is_refused_and_not_shown(written: str) -> None:
    with pytest.raises(ValueError, match="give http://host:port") as caught:
        read_proxy(written)
    assert "canary" not in str(caught.value)


def test_authorities_are_those_of_the_file_or_else_of_the_directory(tmp_path: Path) -> None:
    of_file = read_authorities(str(AUTHORITY), None)
    assert len(of_file.get_ca_certs()) == 1
    assert (of_file.verify_mode, of_file.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert read_authorities(str(AUTHORITY), str(tmp_path)).get_ca_certs()
    assert not read_authorities(None, str(tmp_path)).get_ca_certs()
    assert len(read_authorities(None, None).get_ca_certs()) > 50


def test_authorities_that_are_not_there_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        read_authorities(str(tmp_path / "nowhere"), None)

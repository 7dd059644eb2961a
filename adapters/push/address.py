"""The addresses that endpoints may have: public ones, unless the settings allow private ones."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""

_UNLESS = "unless private addresses are allowed (CHANGES_PUSH_PRIVATE=1)"


def is_public(address: Address) -> bool:
    """Whether the address is on the internet, also if IPv6 embeds it as an IPv4 address."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not address.is_multicast


def check_endpoint(url: str, *, allow_private: bool) -> None:
    """Raises `ValueError`, without the value, for an endpoint that must not be posted to."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("an endpoint is an https:// URL") from None
    if parts.scheme not in ("https", "http") or not host or parts.fragment:
        raise ValueError("an endpoint is an https:// URL")
    if parts.username is not None:
        raise ValueError("an endpoint's URL holds no user or password: messages are signed")
    if allow_private:
        return
    if parts.scheme != "https":
        raise ValueError(f"an endpoint is an https:// URL, {_UNLESS}")
    address = _literal(host)
    if address is not None and not is_public(address):
        raise ValueError(f"an endpoint has a public address, {_UNLESS}")


def _literal(host: str) -> Address | None:
    """The address if the host of a URL is one; None for a name."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _inside(address: Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)

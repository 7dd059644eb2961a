"""Whether a host name means this machine itself."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """`localhost` and the names under it (RFC 6761 §6.3), 127.0.0.0/8 and ::1."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback

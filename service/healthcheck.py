"""`python -m service.healthcheck` exits with 0 if the local service answers `/healthz`, else with
1.

For a container's HEALTHCHECK: it needs no curl and imports nothing of the service, so it takes some
milliseconds. It reads the service's address from `HOST` and `PORT`. Where nothing listens there, as
in a worker, it asks `METRICS_PORT`.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

_USUAL = ("127.0.0.1", "8000")

PREFIX = "CLERK_USER_SYNC_"
"""An optional prefix of every setting's name in the environment."""

LINKS = ("tcp://", "udp://", "sctp://")
"""How the value begins that Kubernetes gives a variable named like a setting, for a Service."""


def main() -> int:
    """Ask the service. Returns the exit code."""
    metrics_port = _setting("METRICS_PORT")
    try:
        try:
            is_alive = _is_alive(_setting("PORT") or _USUAL[1])
        except ConnectionRefusedError:
            is_alive = bool(metrics_port) and _is_alive(metrics_port)
    except (OSError, HTTPException, ValueError):
        return 1  # with a PORT that is no number the service does not start either
    return 0 if is_alive else 1


def _is_alive(port: str) -> bool:
    """Raises `OSError`, `HTTPException` and `ValueError`."""
    connection = HTTPConnection(_host(), int(port), timeout=3)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def _host() -> str:
    """Where the service can be asked."""
    host = _setting("HOST").strip("[]") or _USUAL[0]
    try:
        listens_on = ip_address(host)
    except ValueError:
        return host
    if listens_on.is_unspecified:  # then it listens on every address
        return "127.0.0.1" if listens_on.version == 4 else "::1"
    return host


def _setting(name: str) -> str:
    """The names are read in either case, and links of Kubernetes left out, as the service does."""
    given = {key.upper(): value for key, value in os.environ.items()}
    values = (given.get(f"{PREFIX}{name}"), given.get(name))
    return next((one for one in values if one and not one.startswith(LINKS)), "")


if __name__ == "__main__":
    sys.exit(main())

"""`python -m service.healthcheck` exits with 0 if the local service answers `/healthz`, else with
1.

For a container's HEALTHCHECK: it needs no curl and imports nothing of the service, so it takes some
milliseconds. It reads the service's address from `HOST` and `PORT`.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address

_USUAL = ("127.0.0.1", 8000)


def main() -> int:
    """Ask the service. Returns the exit code."""
    try:
        connection = HTTPConnection(*_address(), timeout=3)
    except ValueError:
        return 1  # the service does not start either with such a PORT
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, HTTPException, UnicodeError):
        return 1
    finally:
        connection.close()


def _address() -> tuple[str, int]:
    """Where it can be asked. Raises `ValueError`."""
    host, port = _setting("HOST").strip("[]") or _USUAL[0], int(_setting("PORT") or _USUAL[1])
    try:
        listens_on = ip_address(host)
    except ValueError:
        return host, port
    if listens_on.is_unspecified:  # then it listens on every address
        return ("127.0.0.1" if listens_on.version == 4 else "::1"), port
    return host, port


def _setting(name: str) -> str:
    """The service does not mind how a name is written either."""
    given = {key.upper(): value for key, value in os.environ.items()}
    return given.get(f"CLERK_USER_SYNC_{name}") or given.get(name) or ""


if __name__ == "__main__":
    sys.exit(main())

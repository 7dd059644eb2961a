"""`python -m service.healthcheck` exits with 0 if the local service answers `/healthz`, else with
1.

For a container's HEALTHCHECK: it needs no curl and imports nothing of the service, so it takes some
milliseconds. It reads the service's address from `HOST` and `PORT`.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to connect to
"""The address to connect to if the service listens on all addresses."""


def main() -> int:
    """Ask the service. Returns the exit code."""
    host, port = _setting("HOST"), int(_setting("PORT") or "8000")
    connection = HTTPConnection(_LOOPBACK.get(host, host), port, timeout=3)
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, HTTPException):
        return 1
    finally:
        connection.close()


def _setting(name: str) -> str:
    return os.environ.get(f"CLERK_USER_SYNC_{name}") or os.environ.get(name) or ""


if __name__ == "__main__":
    sys.exit(main())

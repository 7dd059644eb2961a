"""`python -m service.healthcheck` exits with 0 when this machine's service answers, else with 1.

For a container's HEALTHCHECK: it needs no curl, imports nothing of the service, and takes some
milliseconds. It asks where `HOST` and `PORT` say that the service listens.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

_LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to ask
"""Where a service answers that listens on every address."""


def main() -> int:
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

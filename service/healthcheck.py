"""`python -m service.healthcheck` exits with 0 when this machine's service answers, else with 1.

For a container's HEALTHCHECK: no curl, nothing of the service imported, done in some milliseconds.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException


def main() -> int:
    port = int(os.environ.get("PORT") or "8000")
    connection = HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/healthz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())

"""What runs alone: an operator's command, or what the service does by itself."""

import os
import socket
from datetime import UTC, datetime

LOCK = "operator"
"""One name for all of it: one run at a time."""


def holder(name: str) -> str:
    """Who holds the lock: what runs, the process, the machine, and since when. Up to 63 bytes."""
    since = datetime.now(UTC).strftime("%d %H:%M:%SZ")
    return f"{name} {os.getpid()}@{socket.gethostname()[:20]} since {since}"

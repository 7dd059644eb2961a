"""Why an action cannot be done now."""

from domain.errors import AlreadyRunning
from service.console.answers import Refused


def held_by(running: AlreadyRunning) -> Refused:
    """Another run holds the lock: one here, on another replica, or an operator's command."""
    words = f"Held by {running.holder}. Nothing was begun; try again when it has ended."
    return Refused(409, "Another run is under way", words)

"""For the tests of an application that uses this package. The fixtures are in `plugin.py`.

What is here names their types, and works without pytest too.
"""

from scripts.clerk_emulator.faults import ApiFault, FaultKind
from testing.changes import AsyncChangesHandled, ChangesHandled, NotHandled
from testing.clerk import EmulatedClerk, UserLike, settings_for
from testing.deliver import AsyncDeliver, Deliver, NotDelivered
from testing.people import OverrideCurrentUser, SyncedUser, local_user

__all__ = [
    "ApiFault",
    "AsyncChangesHandled",
    "AsyncDeliver",
    "ChangesHandled",
    "Deliver",
    "EmulatedClerk",
    "FaultKind",
    "NotDelivered",
    "NotHandled",
    "OverrideCurrentUser",
    "SyncedUser",
    "UserLike",
    "local_user",
    "settings_for",
]

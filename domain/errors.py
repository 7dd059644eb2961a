"""Every way this service says no, as words. Statuses live in `service/errors.py`.

SyncError
├── InvalidSignature            a webhook that is not Svix's, or not for us
├── InvalidSession              a token that proves nothing
├── SessionPending              signed in, but with tasks left to do at Clerk
├── UserRefused                 a proven session of a user we do not serve
│   ├── UserDeleted               the tombstone stands
│   ├── UserUnknown               Clerk does not know this user either
│   └── UserBanned                banned, or deprovisioned by a directory
├── Unstorable                  content no repetition will bring in
├── AlreadyRunning              another run holds the lock
├── WrongInstance               our key is that of another Clerk instance
└── Unavailable                 not now: try again after `retry_after` seconds
    ├── StorageUnavailable
    ├── IdentityProviderUnavailable
    │   ├── SecretKeyRefused      nor later, with this key
    │   ├── CursorRefused         nor later, from this place in the list
    │   └── UserUnreadable        Clerk has that user, in a form we cannot keep
    ├── SigningKeysUnavailable
    └── FrontDoorUnavailable    where a replay is posted to
"""


class SyncError(Exception):
    """Base of every named error. The message is for our own log, never for the caller."""


class InvalidSignature(SyncError):
    """The delivery is unsigned, wrongly signed, too old, or its headers are malformed."""


class InvalidSession(SyncError):
    """The token is missing, malformed, wrongly signed, expired, or not a session token."""


class SessionPending(SyncError):
    """The session is real, but Clerk still wants something of the user (`sts=pending`)."""


class UserRefused(SyncError):
    """The session is proven, and its user is not served."""


class UserDeleted(UserRefused):
    """Clerk deleted this user; the token merely has not run out yet."""


class UserUnknown(UserRefused):
    """Neither our table nor Clerk knows this user."""


class UserBanned(UserRefused):
    """This user is banned at Clerk, or deprovisioned by a directory."""


class Unstorable(SyncError):
    """The store refuses this content, and would refuse it again. Nothing was written."""


class AlreadyRunning(SyncError):
    """Another run is under way. `holder` says whose, and since when."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"another run is under way: {holder}")
        self.holder = holder


class WrongInstance(SyncError):
    """The credentials are good, and not of the Clerk instance that our rows came from."""


class Unavailable(SyncError):
    """Something we depend on cannot answer now. `retry_after` is in seconds."""

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageUnavailable(Unavailable):
    """The store cannot be reached, is read-only, or took too long. Nothing was acknowledged."""


class IdentityProviderUnavailable(Unavailable):
    """Clerk is down, slow, limiting us, or answered something that is not the user asked for."""


class SecretKeyRefused(IdentityProviderUnavailable):
    """Clerk does not accept our secret key. Asking again will not help."""


class CursorRefused(IdentityProviderUnavailable):
    """The list of users cannot be resumed at that user: deleted, or cursors are not known."""


class UserUnreadable(IdentityProviderUnavailable):
    """Clerk has that user, in a form we cannot keep."""


class SigningKeysUnavailable(Unavailable):
    """No signing keys could be loaded yet, so no token can be checked either way."""


class FrontDoorUnavailable(Unavailable):
    """The environment that a replay is posted to does not answer, or only with 429 or 5xx."""

"""Every named error. `service/errors.py` gives them statuses, `scripts/commands` exit codes.

SyncError
├── InvalidSignature            the webhook is not signed with one of our secrets
├── InvalidSession              the session token is not valid
├── InvalidChangesToken         not a reader of changes
├── SessionPending              signed in, with tasks left to do at Clerk
├── UserRefused                 the session is valid, and its user is not served
│   ├── UserDeleted               there is a tombstone
│   ├── UserUnknown               Clerk does not know this user either
│   └── UserBanned                banned, or deprovisioned by a directory
├── Unstorable                  the store refuses this content, and would again
├── AlreadyRunning              another run holds the lock
├── FellBehind                  the position of a reader of changes is not in the log
├── NotTaken                    a receiver of changes did not accept one
│   └── ReceiverGone            it asks to be sent no more
├── WrongInstance               the key or a setting is of another Clerk instance than our rows
└── Unavailable                 try again after `retry_after` seconds
    ├── StorageUnavailable
    │   ├── SchemaRefused         it cannot be migrated as it is
    │   └── StoreOfAnotherInstance its users are of another Clerk instance than the settings
    ├── IdentityProviderUnavailable
    │   ├── SecretKeyRefused      Clerk does not accept our secret key
    │   ├── CursorRefused         the list of users cannot be resumed at this user
    │   └── UserUnreadable        Clerk has that user, in a form we cannot keep
    ├── SigningKeysUnavailable
    └── EndpointUnavailable     the service that a replay is posted to

`code` is the error's name for machines. `words` explains it to people: a clause in lower case
without a full stop.
"""

from typing import ClassVar


class SyncError(Exception):
    """Base of every named error. The message is for our own log, never for the caller."""

    code: ClassVar[str] = "sync_failed"
    words: ClassVar[str] = "the user could not be synced"

    @property
    def explained(self) -> str:
        """`words`, with the message in brackets where there is one: for operators."""
        return f"{self.words} ({self})" if str(self) else self.words


class InvalidSignature(SyncError):
    """The delivery is unsigned, wrongly signed, too old, or its headers are malformed."""

    code = "signature_invalid"
    words = "the webhook's signature is invalid"


class InvalidSession(SyncError):
    """The token is missing, malformed, wrongly signed, expired, or not a session token."""

    code = "session_invalid"
    words = "the session token is invalid"


class InvalidChangesToken(SyncError):
    """The bearer token is not CHANGES_TOKEN."""

    code = "changes_token_invalid"
    words = "the token of a reader of changes is invalid"


class SessionPending(SyncError):
    """The session is genuine, and the user has tasks left to do at Clerk (`sts=pending`)."""

    code = "session_pending"
    words = "the session has tasks left to do at Clerk"


class UserRefused(SyncError):
    """The session is valid, and its user is not served."""

    code = "user_refused"
    words = "the user is not served"


class UserDeleted(UserRefused):
    """Clerk deleted this user; the token has not expired yet."""

    code = "user_deleted"
    words = "the user is deleted"


class UserUnknown(UserRefused):
    """Neither our table nor Clerk knows this user."""

    code = "user_unknown"
    words = "the user is unknown at Clerk"


class UserBanned(UserRefused):
    """This user is banned at Clerk, or deprovisioned by a directory."""

    code = "user_banned"
    words = "the user is banned"


class Unstorable(SyncError):
    """The store refuses this content, and would refuse it again. Nothing was written."""

    code = "unstorable"
    words = "the store refuses the data"

    @property
    def reason(self) -> str:
        """Why a delivery with this content is in quarantine."""
        return f"{self.code}: {self}"


class AlreadyRunning(SyncError):
    """Another run holds the lock. `holder` names it and says since when."""

    code = "already_running"
    words = "another run is under way"

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


class FellBehind(SyncError):
    """The changes after a reader's position are deleted, or it is ahead of the log. It must start
    over.
    """

    code = "changes_expired"
    words = "that position is not in the log of changes"


class NotTaken(SyncError):
    """A receiver of changes did not accept one. The message says how, and holds nothing of it."""

    code = "not_taken"
    words = "the receiver did not accept the message"


class ReceiverGone(NotTaken):
    """A receiver of changes asks for no more of them: it answered 410 Gone."""

    code = "receiver_gone"
    words = "the receiver wants no more messages"


class WrongInstance(SyncError):
    """The key or CLERK_INSTANCE_ID is of another Clerk instance than our rows."""

    code = "wrong_instance"
    words = "the Clerk instance is not the one of our rows"


class Unavailable(SyncError):
    """Something we depend on cannot answer now. `retry_after` is in seconds."""

    code = "unavailable"
    words = "a dependency is unavailable"

    def __init__(self, message: str = "", *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageUnavailable(Unavailable):
    """The store cannot be reached, is read-only, or took too long. Nothing was acknowledged."""

    code = "storage_unavailable"
    words = "the store is unavailable"


class SchemaRefused(StorageUnavailable):
    """The schema cannot be migrated: tables are in the way, or the encoding or the rights do not
    allow it. Nothing was changed.
    """

    words = "the store's schema cannot be used"


class StoreOfAnotherInstance(StorageUnavailable):
    """The store's users are of another Clerk instance than the settings. Nothing was written."""

    words = "the store holds the users of another Clerk instance"


class IdentityProviderUnavailable(Unavailable):
    """Clerk is down, slow, limiting us, or answered something that is not the user asked for."""

    code = "identity_provider_unavailable"
    words = "Clerk is unavailable"


class SecretKeyRefused(IdentityProviderUnavailable):
    """Clerk does not accept our secret key. Asking again will not help."""

    words = "Clerk refuses CLERK_SECRET_KEY"


class CursorRefused(IdentityProviderUnavailable):
    """Clerk refuses to resume the list of users at this user, for example a deleted one."""

    words = "Clerk's list of users cannot be resumed"


class UserUnreadable(IdentityProviderUnavailable):
    """Clerk has that user, in a form we cannot keep."""

    words = "Clerk has that user, in a form that cannot be kept"


class SigningKeysUnavailable(Unavailable):
    """No signing keys could be loaded yet, so no token can be checked either way."""

    code = "signing_keys_unavailable"
    words = "the signing keys are not loaded"


class EndpointUnavailable(Unavailable):
    """The service that a replay is posted to does not answer, or only with 429 or 5xx."""

    code = "endpoint_unavailable"
    words = "the service to post to is unavailable"

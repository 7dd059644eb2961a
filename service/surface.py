"""The public names: what `clerk_user_sync` exports. Everything else may change in any release.

A new name is one line here. The build makes the package's `__init__` and its stub from this file.
A name is imported on first use, so that unused libraries are not loaded: `users_table` needs
SQLAlchemy, and `upgrade` needs Alembic.
"""

from adapters.postgres.joins import ignore_ours, users_table
from adapters.postgres.upgrade import upgrade
from domain.changes import Change
from domain.errors import (
    IdentityProviderUnavailable,
    InvalidSession,
    InvalidSignature,
    SchemaRefused,
    SessionPending,
    SigningKeysUnavailable,
    StorageUnavailable,
    SyncError,
    UserBanned,
    UserDeleted,
    UserRefused,
    UserUnknown,
)
from domain.ports import Session
from domain.user import LocalUser
from service.app import mount, mount_console, mount_health, user_sync
from service.auth import CurrentSession, CurrentUser, OptionalUser, current_user, optional_user
from service.auth import clerk_session as current_session
from service.changes import Changes
from service.extras import MissingExtra
from service.settings import Settings

"""The tables, declared with SQLModel. Requests use statements of SQL instead.

The migrations create these tables, and the statements name these columns: tests compare all three.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import create_model
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from adapters.postgres.columns import USER_COLUMNS

NAMING = {
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s",
    "pk": "%(table_name)s_pkey",
}


class Table(SQLModel):
    """Base class with its own metadata, so that a host's SQLModel tables do not mix with ours."""

    metadata = MetaData(naming_convention=NAMING)


def _time(*, required: bool = False, now: bool = False) -> Any:
    default = func.now() if now else None
    return Field(
        default=None,
        sa_type=DateTime(timezone=True),
        nullable=not (required or now),
        sa_column_kwargs={"server_default": default} if now else {},
    )


def _text(*, required: bool = False) -> Any:
    return Field(default=None, sa_type=Text, nullable=not required)


_SQL_TYPES: Mapping[str, Any] = {
    "text": Text,
    "boolean": Boolean,
    "timestamptz": DateTime(timezone=True),
    "jsonb": JSONB,
}

_KEPT: dict[str, Any] = {
    name: (Any, Field(default=None, sa_type=_SQL_TYPES[column.type], nullable=True))
    for name, column in USER_COLUMNS.items()
}

Kept = create_model("Kept", __base__=SQLModel, **_KEPT)
"""One column for each of `KEPT_FIELDS`."""


class UserRow(Table, Kept, table=True):
    """A user, live or a tombstone. Only `clerk_id` is UNIQUE: other values move between users."""

    __tablename__ = "users"
    __table_args__ = (
        Index(None, "email"),
        Index(None, "created_at"),
        *(
            Index(
                f"users_{name}_prefix_idx",
                func.lower(literal_column(name)).label("lowered"),
                postgresql_ops={"lowered": "text_pattern_ops"},
                postgresql_where=text(f"octet_length({name}) <= 512"),
            )
            for name in ("email", "first_name", "last_name")
        ),
        Index(
            "users_external_id_hash_idx",
            "external_id",
            postgresql_using="hash",
            postgresql_where=text("external_id is not null"),
        ),
        Index(
            "users_email_addresses_idx",
            "email_addresses",
            postgresql_using="gin",
            postgresql_ops={"email_addresses": "jsonb_path_ops"},
        ),
        CheckConstraint(
            f"deleted_at is null or num_nonnulls({', '.join(USER_COLUMNS)}) = 0",
            name="tombstone_is_empty_check",
        ),
        CheckConstraint(
            "deleted_at is not null or num_nulls(clerk_updated_at, observed_at, digest) = 0",
            name="live_has_a_version_check",
        ),
    )

    id: UUID = Field(
        primary_key=True, sa_column_kwargs={"server_default": text("gen_random_uuid()")}
    )
    clerk_id: str = Field(sa_type=Text, unique=True)
    clerk_updated_at: datetime | None = _time()
    observed_at: datetime | None = _time()
    digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    deleted_at: datetime | None = _time()
    created_at: datetime = _time(now=True)
    last_synced_at: datetime = _time(now=True)
    synced_by: str = _text(required=True)


class JournalRow(Table, table=True):
    """One verified delivery, or one observation from elsewhere that changed a user.

    `domain.journal.JournalEntry` says what the columns mean.
    """

    __tablename__ = "sync_journal"
    __table_args__ = (
        Index(None, "clerk_id", "id"),
        Index(
            "sync_journal_quarantined_idx", "id", postgresql_where=text("outcome = 'quarantined'")
        ),
        Index("sync_journal_bodies_idx", "received_at", postgresql_where=text("body is not null")),
        Index(
            "sync_journal_just_in_time_idx",
            "received_at",
            postgresql_where=text("source = 'jit' and outcome = 'created'"),
        ),
        Index(
            "sync_journal_uncommon_idx",
            "outcome",
            "id",
            postgresql_where=text("outcome in ('stale', 'gone', 'deleted')"),
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    svix_id: str | None = Field(default=None, sa_type=Text, unique=True)
    event_type: str | None = _text()
    clerk_id: str | None = _text()
    source: str = _text(required=True)
    occurred_at: datetime | None = _time()
    received_at: datetime = _time(now=True)
    last_received_at: datetime = _time(now=True)
    deliveries: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    outcome: str = _text(required=True)
    error: str | None = _text()
    clerk_updated_at: datetime | None = _time()
    stored_updated_at: datetime | None = _time()
    dismissed_at: datetime | None = _time()
    body: bytes | None = Field(default=None, sa_type=LargeBinary)


class ChangeRow(Table, table=True):
    """One change of one user. `domain.changes.Change` says what the columns mean.

    A change gets its position when it is first read: until then it is in one small index.
    """

    __tablename__ = "user_changes"
    __table_args__ = (
        PrimaryKeyConstraint("clerk_id", "id"),
        Index("user_changes_unnumbered_idx", "id", postgresql_where=text("position is null")),
        Index(
            "user_changes_position_idx",
            "position",
            unique=True,
            postgresql_where=text("position is not null"),
        ),
    )

    clerk_id: str = _text(required=True)
    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), nullable=False)
    )
    user_id: UUID = Field(sa_type=Uuid, nullable=False)
    kind: str = _text(required=True)
    changed: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    source: str = _text(required=True)
    occurred_at: datetime = _time(required=True)
    recorded_at: datetime = _time(now=True)
    position: int | None = Field(default=None, sa_type=BigInteger)


class SubscriptionRow(Table, table=True):
    """How far a subscription to changes has come, and the process that runs it now.

    `domain.subscriptions` says what the columns mean. An empty list of fields is every field.
    """

    __tablename__ = "user_change_subscriptions"

    name: str = Field(sa_type=Text, primary_key=True)
    position: int = Field(sa_type=BigInteger)
    begins_after: int = Field(sa_type=BigInteger)
    kinds: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    sources: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    fields_: list[str] = Field(sa_column=Column("fields", ARRAY(Text), nullable=False))
    holder: str | None = _text()
    held_until: datetime | None = _time()
    created_at: datetime = _time(now=True)
    moved_at: datetime = _time(now=True)
    failing_since: datetime | None = _time()
    paused_at: datetime | None = _time()
    paused_because: str | None = _text()


class SetAsideRow(Table, table=True):
    """A change that a subscription could not deliver at once. The user's later ones wait for it."""

    __tablename__ = "user_changes_set_aside"
    __table_args__ = (
        ForeignKeyConstraint(
            ["subscription"],
            ["user_change_subscriptions.name"],
            name="user_changes_set_aside_subscription_fkey",
            ondelete="CASCADE",
        ),
        Index(
            "user_changes_set_aside_users_idx",
            "clerk_id",
            "subscription",
            unique=True,
            postgresql_where=text("state <> 'given_up'"),
        ),
        Index(
            "user_changes_set_aside_due_idx",
            "subscription",
            "due_at",
            postgresql_where=text("state in ('waiting', 'skipping')"),
        ),
    )

    subscription: str = Field(sa_type=Text, primary_key=True)
    position: int = Field(sa_type=BigInteger, primary_key=True)
    clerk_id: str = _text(required=True)
    state: str = _text(required=True)
    attempts: int
    due_at: datetime = _time(required=True)
    error: str | None = _text()
    set_aside_at: datetime = _time(now=True)


class CheckpointRow(Table, table=True):
    """The cursor or the result of a long run."""

    __tablename__ = "sync_checkpoints"

    name: str = Field(sa_type=Text, primary_key=True)
    cursor: str = _text(required=True)
    saved_at: datetime = _time(now=True)


class ConsoleSessionRow(Table, table=True):
    """A sign-in at the console. `domain.console.ConsoleSession` says what the columns mean."""

    __tablename__ = "console_sessions"

    key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    ground: str = _text(required=True)
    clerk_id: str | None = _text()
    clerk_session_id: str | None = _text()
    opened_at: datetime = _time(now=True)
    confirmed_at: datetime = _time(now=True)
    expires_at: datetime | None = _time(required=True)


class AdoptedUserRow(Table, table=True):
    """Which row of an application's own table is which user of ours.

    `table_name` is schema and name, `row_id` the row's id as text.
    """

    __tablename__ = "adopted_users"
    __table_args__ = (UniqueConstraint("user_id", "table_name", name="adopted_users_user_id_key"),)

    table_name: str = Field(sa_type=Text, primary_key=True)
    row_id: str = Field(sa_type=Text, primary_key=True)
    user_id: UUID
    matched_by: str = _text(required=True)
    linked_at: datetime = _time(now=True)


class ActionRow(Table, table=True):
    """One action of an operator, for the audit trail."""

    __tablename__ = "operator_actions"
    __table_args__ = (
        Index("operator_actions_action_idx", "action", "id"),
        Index(
            "operator_actions_target_idx",
            "target",
            "id",
            postgresql_where=text("target is not null"),
        ),
    )

    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), primary_key=True)
    )
    started_at: datetime = _time(now=True)
    ended_at: datetime | None = _time()
    who: str = _text(required=True)
    action: str = _text(required=True)
    target: str | None = _text()
    detail: dict[str, Any] = Field(sa_type=JSONB, nullable=False)
    result: str | None = _text()

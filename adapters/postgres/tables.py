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
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
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


def time_column(*, required: bool = False, now: bool = False) -> Any:
    default = func.now() if now else None
    return Field(
        default=None,
        sa_type=DateTime(timezone=True),
        nullable=not (required or now),
        sa_column_kwargs={"server_default": default} if now else {},
    )


def text_column(*, required: bool = False) -> Any:
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
    clerk_updated_at: datetime | None = time_column()
    observed_at: datetime | None = time_column()
    digest: bytes | None = Field(default=None, sa_type=LargeBinary)
    deleted_at: datetime | None = time_column()
    created_at: datetime = time_column(now=True)
    last_synced_at: datetime = time_column(now=True)
    synced_by: str = text_column(required=True)


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
    event_type: str | None = text_column()
    clerk_id: str | None = text_column()
    source: str = text_column(required=True)
    occurred_at: datetime | None = time_column()
    received_at: datetime = time_column(now=True)
    last_received_at: datetime = time_column(now=True)
    deliveries: int = Field(default=1, sa_column_kwargs={"server_default": text("1")})
    outcome: str = text_column(required=True)
    error: str | None = text_column()
    clerk_updated_at: datetime | None = time_column()
    stored_updated_at: datetime | None = time_column()
    dismissed_at: datetime | None = time_column()
    body: bytes | None = Field(default=None, sa_type=LargeBinary)


class CheckpointRow(Table, table=True):
    """The cursor or the result of a long run."""

    __tablename__ = "sync_checkpoints"

    name: str = Field(sa_type=Text, primary_key=True)
    cursor: str = text_column(required=True)
    saved_at: datetime = time_column(now=True)


class ConsoleSessionRow(Table, table=True):
    """A sign-in at the console. `domain.console.ConsoleSession` says what the columns mean."""

    __tablename__ = "console_sessions"

    key: bytes = Field(sa_type=LargeBinary, primary_key=True)
    ground: str = text_column(required=True)
    clerk_id: str | None = text_column()
    clerk_session_id: str | None = text_column()
    opened_at: datetime = time_column(now=True)
    confirmed_at: datetime = time_column(now=True)
    expires_at: datetime | None = time_column(required=True)


class AdoptedUserRow(Table, table=True):
    """Which row of an application's own table is which user of ours.

    `table_name` is schema and name, `row_id` the row's id as text.
    """

    __tablename__ = "adopted_users"
    __table_args__ = (UniqueConstraint("user_id", "table_name", name="adopted_users_user_id_key"),)

    table_name: str = Field(sa_type=Text, primary_key=True)
    row_id: str = Field(sa_type=Text, primary_key=True)
    user_id: UUID
    matched_by: str = text_column(required=True)
    linked_at: datetime = time_column(now=True)


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
    started_at: datetime = time_column(now=True)
    ended_at: datetime | None = time_column()
    who: str = text_column(required=True)
    action: str = text_column(required=True)
    target: str | None = text_column()
    detail: dict[str, Any] = Field(sa_type=JSONB, nullable=False)
    result: str | None = text_column()

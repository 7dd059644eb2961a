"""The tables of changes and of the subscriptions to them, declared with SQLModel."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field

from adapters.postgres.tables import Table, text_column, time_column


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

    clerk_id: str = text_column(required=True)
    id: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(always=True), nullable=False)
    )
    user_id: UUID = Field(sa_type=Uuid, nullable=False)
    kind: str = text_column(required=True)
    changed: list[str] = Field(sa_type=ARRAY(Text), nullable=False)
    source: str = text_column(required=True)
    occurred_at: datetime = time_column(required=True)
    recorded_at: datetime = time_column(now=True)
    position: int | None = Field(default=None, sa_type=BigInteger)
    traceparent: str | None = text_column()


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
    holder: str | None = text_column()
    held_until: datetime | None = time_column()
    created_at: datetime = time_column(now=True)
    moved_at: datetime = time_column(now=True)
    failing_since: datetime | None = time_column()
    paused_at: datetime | None = time_column()
    paused_because: str | None = text_column()


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
    clerk_id: str = text_column(required=True)
    state: str = text_column(required=True)
    attempts: int
    due_at: datetime = time_column(required=True)
    error: str | None = text_column()
    set_aside_at: datetime = time_column(now=True)

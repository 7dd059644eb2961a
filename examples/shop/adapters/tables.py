"""The shop's tables, in SQLAlchemy 2. `users` are the staff; a customer is a user of Clerk's."""

from typing import TYPE_CHECKING
from uuid import UUID

from clerk_user_sync import users_table
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlmodel import SQLModel

SCHEMA = "clerk"
"""Where the customers are: `DATABASE_SCHEMA`."""


class Base(DeclarativeBase):
    """In one `MetaData` with SQLModel's: Alembic refuses a table that is in two of them."""

    metadata = SQLModel.metadata


class Employee(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    nickname: Mapped[str]


class Customer(Base):
    """Read it and reference it; clerk-user-sync writes it."""

    __table__ = users_table(Base.metadata, SCHEMA)

    if TYPE_CHECKING:  # the columns that the shop reads
        id: Mapped[UUID]
        email: Mapped[str | None]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str]
    cents: Mapped[int]
    customer_id: Mapped[UUID] = mapped_column(ForeignKey(Customer.__table__.c.id), index=True)
    packed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    customer: Mapped[Customer] = relationship()

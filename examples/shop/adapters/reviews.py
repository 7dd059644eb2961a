"""The same with SQLModel: a table of the shop that references a customer."""

from typing import TYPE_CHECKING
from uuid import UUID

from clerk_user_sync import users_table
from sqlmodel import Field, Relationship, SQLModel

from adapters.tables import SCHEMA


class Reviewer(SQLModel, table=True):
    __table__ = users_table(SQLModel.metadata, SCHEMA)

    if TYPE_CHECKING:  # the columns that the shop reads
        first_name: str | None


class Review(SQLModel, table=True):
    __tablename__ = "reviews"
    id: int | None = Field(default=None, primary_key=True)
    item: str
    stars: int
    reviewer_id: UUID = Field(foreign_key=f"{SCHEMA}.users.id")
    reviewer: Reviewer = Relationship()

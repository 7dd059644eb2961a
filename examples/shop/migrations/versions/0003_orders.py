"""Orders and reviews, which reference a customer."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("cents", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), sa.ForeignKey("clerk.users.id"), nullable=False),
        sa.Column("packed_by", sa.Integer(), sa.ForeignKey("users.id")),
    )
    op.create_index("ix_orders_customer_id", "orders", ["customer_id"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("stars", sa.Integer(), nullable=False),
        sa.Column("reviewer_id", sa.Uuid(), sa.ForeignKey("clerk.users.id"), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("reviews")
    op.drop_table("orders")

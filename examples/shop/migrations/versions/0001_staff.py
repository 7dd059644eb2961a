"""The staff. This was there before clerk-user-sync."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("nickname", sa.String(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("users")

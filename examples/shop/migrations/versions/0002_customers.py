"""The customers: the tables of clerk-user-sync, in the transaction of this revision.

A release of clerk-user-sync with new migrations needs a revision like this one again.
"""

from adapters.tables import SCHEMA
from alembic import op
from clerk_user_sync import upgrade as bring_customers_to_head

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    bring_customers_to_head(op.get_bind(), SCHEMA)


def downgrade() -> None:
    op.execute(f"drop schema {SCHEMA} cascade")

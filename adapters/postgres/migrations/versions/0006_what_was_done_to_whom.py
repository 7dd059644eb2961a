"""The audit trail by what was done and to whom: a user's page and a delivery's ask for it.

The trail is never shortened, and most of it are sign-ins.
"""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("create index operator_actions_action_idx on operator_actions (action, id)")
    op.execute("""
        create index operator_actions_target_idx on operator_actions (target, id)
        where target is not null
    """)


def downgrade() -> None:
    op.execute("drop index operator_actions_target_idx")
    op.execute("drop index operator_actions_action_idx")

"""Indexes of the audit trail by action and by target, for the pages of a user and of a delivery.

The trail is never shortened, and most of it are sign-ins.
"""

from adapters.postgres.migration_step import Step

revision = "0006"
down_revision = "0005"


def upgrade(step: Step) -> None:
    step("create index operator_actions_action_idx on our.operator_actions (action, id)")
    step("""
        create index operator_actions_target_idx on our.operator_actions (target, id)
        where target is not null
    """)


def downgrade(step: Step) -> None:
    step("drop index our.operator_actions_target_idx")
    step("drop index our.operator_actions_action_idx")

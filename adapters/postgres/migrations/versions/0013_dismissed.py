"""Quarantined deliveries that an operator has dismissed.

Their outcome stays `quarantined`: an older release that runs beside this one knows no other word.
"""

from adapters.postgres.migration_step import Step

revision = "0013"
down_revision = "0012"


def upgrade(step: Step) -> None:
    step("alter table our.sync_journal add column dismissed_at timestamptz")


def downgrade(step: Step) -> None:
    step("alter table our.sync_journal drop column dismissed_at")

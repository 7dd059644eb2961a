"""Bodies are no longer compressed: that took a quarter of the time of a delivery.

They stand beside the journal, uncompressed, so its own rows stay narrow. What is stored
already stays as it is.
"""

from adapters.postgres.migration_step import Step

revision = "0005"
down_revision = "0004"


def upgrade(step: Step) -> None:
    step("alter table our.sync_journal alter column body set storage external")


def downgrade(step: Step) -> None:
    step("alter table our.sync_journal alter column body set storage extended")

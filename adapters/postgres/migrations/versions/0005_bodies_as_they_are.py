"""Bodies are no longer compressed: compression took a quarter of the time of a delivery.

They are stored outside of the journal's rows, which stay narrow. Bodies that are already stored
stay compressed.
"""

from adapters.postgres.migration_step import Step

revision = "0005"
down_revision = "0004"


def upgrade(step: Step) -> None:
    step("alter table our.sync_journal alter column body set storage external")


def downgrade(step: Step) -> None:
    step("alter table our.sync_journal alter column body set storage extended")

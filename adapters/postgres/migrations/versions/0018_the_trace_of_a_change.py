"""The trace of the delivery that brought a change. Only a delivery that is traced has one."""

from adapters.postgres.migration_step import Step

revision = "0018"
down_revision = "0017"


def upgrade(step: Step) -> None:
    step("alter table our.user_changes add column traceparent text")


def downgrade(step: Step) -> None:
    step("alter table our.user_changes drop column traceparent")

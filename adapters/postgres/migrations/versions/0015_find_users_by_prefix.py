"""Indexes for the console's list of users: the newest, and those whose name begins so.

An entry of a b-tree has at most 2,704 bytes. A longer name stays out of the index, and is not found
by its beginning.
"""

from adapters.postgres.migration_step import Step

revision = "0015"
down_revision = "0014"

_PREFIXES = ("email", "first_name", "last_name")


def upgrade(step: Step) -> None:
    step.index("users_created_at_idx", "our.users (created_at)")
    for name in _PREFIXES:
        step.index(
            f"users_{name}_prefix_idx",
            f"our.users (lower({name}) text_pattern_ops) where octet_length({name}) <= 512",
        )


def downgrade(step: Step) -> None:
    step("drop index our.users_created_at_idx")
    for name in _PREFIXES:
        step(f"drop index our.users_{name}_prefix_idx")

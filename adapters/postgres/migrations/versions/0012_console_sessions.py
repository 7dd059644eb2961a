"""Sign-ins at the console, so that one that ends is ended on every replica at once."""

from adapters.postgres.migration_step import Step

revision = "0012"
down_revision = "0011"


def upgrade(step: Step) -> None:
    step("""
        create table our.console_sessions (
            key bytea not null,
            ground text not null,
            clerk_id text,
            clerk_session_id text,
            opened_at timestamptz not null default now(),
            confirmed_at timestamptz not null default now(),
            expires_at timestamptz not null,
            constraint console_sessions_pkey primary key (key)
        )
    """)


def downgrade(step: Step) -> None:
    step("drop table our.console_sessions")

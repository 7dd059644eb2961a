"""The users table and the journal."""

from adapters.postgres.migration_step import Step

revision = "0001"
down_revision = None


def upgrade(step: Step) -> None:
    step("""
        create table our.users (
            id uuid not null default gen_random_uuid(),
            clerk_id text not null,
            email text,
            email_verified boolean,
            phone_number text,
            username text,
            first_name text,
            last_name text,
            image_url text,
            external_id text,
            public_metadata jsonb,
            banned boolean,
            clerk_created_at timestamptz,
            clerk_updated_at timestamptz,
            observed_at timestamptz,
            digest bytea,
            deleted_at timestamptz,
            created_at timestamptz not null default now(),
            last_synced_at timestamptz not null default now(),
            synced_by text not null,
            constraint users_pkey primary key (id),
            constraint users_clerk_id_key unique (clerk_id),
            constraint users_tombstone_is_empty_check check (
                deleted_at is null or num_nonnulls(
                    clerk_created_at, email, email_verified, phone_number, username, first_name,
                    last_name, image_url, external_id, public_metadata, banned) = 0),
            constraint users_live_has_a_version_check check (
                deleted_at is not null
                or num_nulls(clerk_updated_at, observed_at, digest) = 0)
        )
    """)
    step("create index users_email_idx on our.users (email)")
    step("""
        create table our.sync_journal (
            id bigint generated always as identity,
            svix_id text,
            event_type text,
            clerk_id text,
            source text not null,
            occurred_at timestamptz,
            received_at timestamptz not null default now(),
            last_received_at timestamptz not null default now(),
            deliveries integer not null default 1,
            outcome text not null,
            error text,
            clerk_updated_at timestamptz,
            stored_updated_at timestamptz,
            body bytea,
            constraint sync_journal_pkey primary key (id),
            constraint sync_journal_svix_id_key unique (svix_id)
        )
    """)
    step("create index sync_journal_clerk_id_id_idx on our.sync_journal (clerk_id, id)")
    step("""
        create index sync_journal_quarantined_idx on our.sync_journal (id)
        where outcome = 'quarantined'
    """)


def downgrade(step: Step) -> None:
    step("drop table our.sync_journal")
    step("drop table our.users")

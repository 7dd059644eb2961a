// On the same tables: one guarded upsert with its journal entry, one lookup.
import pg from 'pg'

export const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10, min: 10 })

export const GET = {
  name: 'get',
  text: `select id, clerk_id, email, email_verified, phone_number, username, first_name, last_name,
    image_url, external_id, public_metadata, banned, clerk_created_at, clerk_updated_at, synced_by
    from users where clerk_id = $1`,
}

export const SYNC = {
  name: 'sync',
  text: `with synced as (
    insert into users (clerk_id, email, email_verified, username, first_name, last_name, image_url,
      external_id, public_metadata, banned, clerk_created_at, clerk_updated_at, observed_at, digest,
      synced_by)
    values ($1, $2, true, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '', 'webhook')
    on conflict (clerk_id) do update set email = excluded.email, username = excluded.username,
      first_name = excluded.first_name, last_name = excluded.last_name,
      image_url = excluded.image_url, external_id = excluded.external_id,
      public_metadata = excluded.public_metadata, banned = excluded.banned,
      clerk_updated_at = excluded.clerk_updated_at, observed_at = excluded.observed_at,
      last_synced_at = now(), synced_by = 'webhook'
    where users.deleted_at is null and users.clerk_updated_at < excluded.clerk_updated_at
    returning xmax = 0 as created
  )
  insert into sync_journal (svix_id, event_type, clerk_id, source, occurred_at, outcome, body)
  select $13, $14, $1, 'webhook', $12,
    coalesce((select case when created then 'created' else 'updated' end from synced), 'stale'), $15
  on conflict (svix_id) do update set deliveries = sync_journal.deliveries + 1`,
}

export function parameters(event, svixId, body) {
  const user = event.data
  const primary = user.email_addresses.find((one) => one.id === user.primary_email_address_id)
  return [
    user.id, primary?.email_address ?? null, user.username, user.first_name, user.last_name,
    user.image_url, user.external_id, user.public_metadata, user.banned,
    new Date(user.created_at), new Date(user.updated_at), new Date(event.timestamp),
    svixId, event.type, body,
  ]
}

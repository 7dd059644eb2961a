"""Reading the journal back, and letting it forget."""

from typing import Any

from domain.journal import JournalFilter

ENTRY = """
    id, source, outcome, received_at, last_received_at, deliveries, svix_id, event_type, clerk_id,
    occurred_at, error, clerk_updated_at, stored_updated_at"""

HISTORY = f"""
select {ENTRY}, null::bytea as body from sync_journal where clerk_id = $1 order by id
"""  # noqa: S608

_CONDITIONS = {
    "outcomes": "outcome = any ({}::text[])",
    "event_types": "event_type = any ({}::text[])",
    "user_id": "clerk_id = {}",
    "svix_id": "svix_id = {}",
    "error": "error = {}",
    "since": "received_at >= {}",
    "until": "received_at < {}",
}


def entries_page(wanted: JournalFilter, after: int, size: int) -> tuple[str, list[Any]]:
    """The statement for the next page of verified deliveries, and its parameters.

    Its text is made of our own words only; what was asked for stays in the parameters.
    """
    where, values = _where(wanted)
    text = f"select {ENTRY}, body from sync_journal where id > $1 and {where} order by id limit $2"  # noqa: S608
    return text, [after, size, *values]


def entries_count(wanted: JournalFilter) -> tuple[str, list[Any]]:
    """The same for how many there are, the limit included."""
    where, values = _where(wanted)
    text = (
        f"select count(*) from (select from sync_journal where id > $1 and {where} limit $2) as x"  # noqa: S608
    )
    return text, [0, wanted.limit, *values]


def _where(wanted: JournalFilter) -> tuple[str, list[Any]]:
    """The conditions, their parameters numbered from 3 on, and the parameters."""
    asked = {name: getattr(wanted, name) for name in _CONDITIONS if getattr(wanted, name)}
    conditions = [
        _CONDITIONS[name].format(f"${number}") for number, name in enumerate(asked, start=3)
    ]
    return " and ".join(["svix_id is not null", *conditions]), list(map(_plain, asked.values()))


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


# Materialized, or the plan may choose its rows more than once, each time skipping those it has.
EXPIRE_BODIES = """
with due as materialized (
    select id from sync_journal
    where body is not null and received_at < $1
    order by received_at
    limit $2
    for update skip locked  -- what a redelivery holds just now is done the next time
)
update sync_journal set body = null from due where sync_journal.id = due.id
"""

EXPIRE_ENTRIES = """
delete from sync_journal
where received_at < $1 and id in (select id from sync_journal order by id limit $2)
"""
"""Ids are given in the order of time: where the oldest are not due, nothing is."""

EXPIRED = """
select
    (select count(*) from sync_journal where body is not null and received_at < $1),
    (select count(*) from sync_journal where received_at < $2)
"""

BODIES_OF = "select count(*) from sync_journal where clerk_id = $1 and body is not null"

SILENT_USERS = """
select count(distinct arrival.clerk_id)
from sync_journal as arrival
join users on users.clerk_id = arrival.clerk_id
where arrival.source = 'jit' and arrival.outcome = 'created'
    and arrival.received_at between now() - interval '1 day' and now() - $1::interval
    -- Whoever signed up long ago was announced long ago, maybe before we listened.
    and users.clerk_created_at > now() - interval '1 day'
    and not exists (
        select from sync_journal as webhook
        where webhook.clerk_id = arrival.clerk_id
            and webhook.event_type = 'user.created' and webhook.source = 'webhook'
    )
"""

LAST_DELIVERY = """
select received_at from sync_journal where source = 'webhook' order by id desc limit 1
"""

"""The statements of `adoption.py`: one judges every row, and the same one links.

`{…}` stand for parts that `adoption.py` fills in: names that the server has quoted, and nothing
that an operator typed. The text is qualified (`our.`) before that, so that no name of the
application's can be taken for ours.
"""

from adapters.postgres.open_transaction import NO_TIMEOUT, setting

FIND_TABLE = """
select
    pg_class.oid,
    format('%I.%I', nspname, relname) as quoted,
    nspname || '.' || relname as name
from pg_class
join pg_namespace on pg_namespace.oid = relnamespace
where pg_class.oid = to_regclass($1::text) and relkind in ('r', 'p', 'v', 'm', 'f')
"""

FIND_COLUMN = """
select
    quote_ident(attname) as name,
    format_type(atttypid, null) as type,
    has_column_privilege(attrelid, attnum, 'SELECT') as may_read
from pg_attribute
where attrelid = $1::oid and attnum > 0 and not attisdropped
    and attname in ($2::text, lower($2::text))
order by attname = $2::text desc
limit 1
"""

_WHITE = r"E' \t\n\r\f\x0b'"
"""Postgres 16 reads `\\v` as the letter, and would take it from the ends of an address."""


def normalised(value: str) -> str:
    """SQL: an address without surrounding white space, its ASCII letters in lower case."""
    return f"nullif(lower(btrim({value}::text, {_WHITE}) collate \"C\"), '')"


_JUDGED = f"""
with theirs as materialized (
    select
        {{id}}::text collate "C" as row_id,
        {{external_id}}::text collate "C" as external_id,
        {{address}} as address,
        coalesce({{verified}}, false) as verified
    from {{table}}
    where {{id}} is not null
),
ours as materialized (
    select
        id,
        clerk_id collate "C" as clerk_id,
        external_id collate "C" as external_id,
        {normalised("email")} as address,
        email_verified is true as verified
    from our.users
    where deleted_at is null
),
earlier as materialized (
    select row_id collate "C" as row_id, user_id from our.adopted_users where table_name = $1::text
),
repeated as (
    select row_id from theirs group by row_id having count(*) > 1
),
same_external_id as materialized (
    select external_id, row_id, clerk_id, their.alone and mine.alone as alone
    from (
        select external_id, min(row_id) as row_id, count(*) = 1 as alone
        from theirs where external_id is not null group by external_id
    ) as their
    join (
        select external_id, min(clerk_id) as clerk_id, count(*) = 1 as alone
        from ours where external_id is not null group by external_id
    ) as mine using (external_id)
),
all_our_addresses as (
    select address, clerk_id, external_id, verified from ours where address is not null
    union all
    select {normalised("one ->> 'address'")}, clerk_id collate "C", external_id collate "C", false
    from our.users, jsonb_array_elements(email_addresses) as one
    where deleted_at is null
),
same_address as materialized (
    select
        address, row_id, clerk_id,
        their.external_id as row_external_id, mine.external_id as user_external_id,
        their.alone and mine.alone as alone, their.verified and mine.verified as verified
    from (
        select
            address, min(row_id) as row_id, min(external_id) as external_id,
            count(*) = 1 as alone, bool_and(verified) as verified
        from theirs where address is not null group by address
    ) as their
    join (
        select
            address, min(clerk_id) as clerk_id, min(external_id) as external_id,
            min(clerk_id) = max(clerk_id) as alone, bool_or(verified) as verified
        from all_our_addresses group by address
    ) as mine using (address)
),
matched as materialized (
    select row_id, clerk_id, 'by_external_id' as how from same_external_id
    where alone and not exists (
        select from repeated where repeated.row_id = same_external_id.row_id
    )
    union all
    select row_id, clerk_id, 'by_address' from same_address as address
    where alone and verified
        and not exists (select from repeated where repeated.row_id = address.row_id)
        and not exists (
            select from same_external_id where external_id = address.row_external_id
        )
        and not exists (
            select from same_external_id where external_id = address.user_external_id
        )
),
judged as materialized (
    select
        theirs.row_id,
        matched.clerk_id,
        case
            when repeated.row_id is not null then 'ambiguous'
            when earlier.user_id = ours.id then 'linked_before'
            when earlier.user_id is not null and ours.id is null then 'linked_before'
            when earlier.user_id is not null or elsewhere.user_id is not null then 'conflict'
            when matched.how is not null then matched.how
            when same_external_id.external_id is not null then 'ambiguous'
            when same_address.address is null then 'no_user'
            when not same_address.alone then 'ambiguous'
            when not same_address.verified then 'unverified'
            else 'conflict'
        end as verdict
    from theirs
    left join repeated on repeated.row_id = theirs.row_id
    left join earlier on earlier.row_id = theirs.row_id
    left join matched on matched.row_id = theirs.row_id
    left join ours on ours.clerk_id = matched.clerk_id
    left join earlier as elsewhere on elsewhere.user_id = ours.id
    left join same_external_id on same_external_id.external_id = theirs.external_id
    left join same_address on same_address.address = theirs.address
),
without_a_row as (
    select clerk_id from ours
    where not exists (select from earlier where earlier.user_id = ours.id)
        and not exists (
            select from same_external_id where same_external_id.external_id = ours.external_id
        )
        and not exists (select from same_address where same_address.address = ours.address)
)
"""  # noqa: S608 - see the docstring of the module

COUNT = """
select verdict, count(*) from judged group by verdict
union all
select 'no_row', count(*) from without_a_row having count(*) > 0
"""

REPORT = f"{_JUDGED}{COUNT}"

LINK = f"""{_JUDGED},
linked as (
    insert into our.adopted_users (table_name, row_id, user_id, matched_by)
    select $1::text, row_id, id, verdict
    from judged join ours using (clerk_id)
    where verdict in ('by_external_id', 'by_address')
)
{COUNT}"""  # noqa: S608

ALL = f"""{_JUDGED}
select verdict, row_id, clerk_id from judged
union all
select 'no_row', null, clerk_id from without_a_row
"""  # noqa: S608

SETTINGS_OF_A_RUN = (
    setting(NO_TIMEOUT),
    # A policy that hides rows would make an address look unique that is not: an error instead.
    "set local row_security = off",
    # The planner knows nothing of the sizes of groups, and a nested loop over a million never ends.
    "set local enable_nestloop = off",
    "set local jit = off",
    "set local work_mem = '64MB'",
)

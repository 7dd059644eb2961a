"""Statements for a transaction that stays open while long work is done."""

from collections.abc import Mapping

BEGIN = "begin isolation level read committed"
"""At the other levels, which may be the default, an idle transaction keeps its first snapshot, and
the concurrent build of an index waits for it.
"""

NO_TIMEOUT: Mapping[str, str] = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "transaction_timeout": "0",
}
"""Settings of a transaction that the server does not end, whatever the role's defaults are."""


def setting(values: Mapping[str, str], *, local: bool = True) -> str:
    """A statement for these settings; one that an older server does not have is left out.

    With `local` they end with the transaction. It has no parameters, so that no portal stays open,
    which would keep a snapshot.
    """
    wanted = ", ".join(f"('{name}', '{value}')" for name, value in values.items())
    return f"""
select set_config(name, value, {local})
from (values {wanted}) as wanted (name, value) join pg_settings using (name)
"""  # noqa: S608 - names and values of ours


def holder_of(key: str) -> str:
    """A query for the session whose transaction holds the advisory lock of this number."""
    return f"""
with wanted as (select {key} as key)
select application_name, pid, xact_start
from wanted
join pg_locks on locktype = 'advisory' and granted and objsubid = 1
    and (classid::bigint << 32) | objid::bigint = key
    and database = (select oid from pg_database where datname = current_database())
join pg_stat_activity using (pid)
"""  # noqa: S608 - an expression of ours

"""Statements for a transaction that stays open while long work is done."""

from collections.abc import Mapping

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

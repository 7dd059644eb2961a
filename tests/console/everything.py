"""A store in which every page of the console has something to show, and the paths of all pages."""

import json
from dataclasses import dataclass
from urllib.parse import quote

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from tests.adapters.clerk.payloads import ADA
from tests.commands.arrivals import quarantined
from tests.console.operator_actions import run
from tests.console.visitors import Visitor
from tests.people import new_id
from tests.postgres_server import Sql

AHEAD = """
update users set email = $1, external_id = $1, clerk_updated_at = clerk_updated_at + interval '1 day'
"""
PAUSED = """
insert into user_change_subscriptions (
    name, position, begins_after, kinds, sources, fields, paused_at, paused_because)
values ('mail', 1, 0, '{created}', '{webhook}', '{}', now(), $1)
"""
PARKED = """
insert into user_changes_set_aside (
    subscription, position, clerk_id, state, attempts, due_at, error)
values ('mail', 1, $1, 'parked', 8, now(), $2)
"""


@dataclass(frozen=True)
class Everything:
    """A user whose row is ahead of Clerk, a delivery in quarantine, and a subscription "mail"."""

    person: str
    entry: int
    text: str

    def at(self, path: str) -> str:
        """A path of `routes.py`, to what is here."""
        path = path.replace(ADA, self.person).replace("/deliveries/1", f"/deliveries/{self.entry}")
        if "/quarantine/" in path:
            return f"{path}?error={quote(self.text)}"
        return f"{path}?to=oldest" if path.endswith("/rewind") else path


async def everything(
    operator: Visitor, clerk: ClerkEmulator, database: Database, sql: Sql, *, text: str
) -> Everything:
    """All that others wrote is `text`."""
    names = {"first_name": text, "last_name": text, "username": text}
    person = clerk.create_user(email_address=[f"{new_id()}@example.com"], **names)["id"]
    await operator.confirm(f"/users/{person}/sync")
    await sql.execute(AHEAD, text)
    await run(operator, sql, "/drift/check")
    await quarantined(database, json.dumps({"type": text}, ensure_ascii=False).encode())
    await sql.execute("update sync_journal set event_type = $1, error = $1", text)
    await sql.execute("update operator_actions set who = $1, result = $1", text)
    await sql.execute(PAUSED, text)
    await sql.execute(PARKED, person, text)
    entry = await sql.fetchval("select max(id) from sync_journal")
    return Everything(person, entry, text)

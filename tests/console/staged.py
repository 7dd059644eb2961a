"""A console with something to see on every page: people, deliveries, and what went wrong."""

from typing import Any

import asyncpg
import httpx
import orjson

from adapters.postgres.database import Database
from scripts.clerk_emulator import ClerkEmulator
from scripts.clerk_emulator.config import new_id
from tests.console.hostile import HOSTILE
from tests.console.subscribed import Subscribed
from tests.e2e.processes import eventually
from tests.running import svix_headers

PEOPLE = (
    ("Ada", "Byron", "ada@example.com"),
    ("Grace", "Hopper", "grace.hopper@navy.example"),
    ("Ludwig", "Prandtl", "prandtl@stroemung.example"),
    ("Zoë 🦊", "Åkerström", "zoe@smörgås.example"),
    ("محمد", "الخوارزمي", "alkhwarizmi@hikma.example"),
    ("", "", "nobody.said.how.they.are.called@example.com"),
    (
        "Wolfeschlegelsteinhausenbergerdorff",
        "of the very long name indeed, the third",
        f"{'a.rather.long.local.part.' * 2}x@a-rather-long-domain-name.for-an-address.example",
    ),
)

UNREADABLE = (
    b'{"type": "user.updated", "data": ',
    b'{"type": "user.updated", "data": {"object": "user"}}',
    b'{"type": "user.updated", "data": {"object": "user", "first_name": "\\u0000"}}',
    b'{"data": {"id": "user_2NNEqL2nrIRdJ194ndJqAHwEfxC"}}',
)

SPREAD = """
update sync_journal
set received_at = received_at - interval '2 h', last_received_at = received_at - interval '2 h',
    occurred_at = received_at - interval '2 h' - interval '180 ms'
"""
"""The people came two hours ago."""

FILL = """
insert into sync_journal (
    svix_id, event_type, clerk_id, source, outcome, received_at, occurred_at, last_received_at)
select 'msg_' || md5(n::text), 'user.updated', person.clerk_id, 'webhook',
    case when n % 23 = 0 then 'stale' when n % 7 = 0 then 'unchanged' else 'updated' end,
    at, at - interval '1 ms' * (90 + 60 * sin(n / 40.0) + 13 * (n % 9)), at
from generate_series(900, 1, -1) as n
cross join lateral (
    select now() - interval '4 s' * n + interval '1 s' * 90 * sin(n / 35.0) - interval '95 s' as at
) as moment
join lateral (select clerk_id from users where deleted_at is null offset n % $1 limit 1)
    as person on true
order by at
"""
"""What came within the last hour: at some times more, at others less."""


async def staged(
    clerk: ClerkEmulator, address: str, database: Database, url: str, people: int
) -> dict[str, str]:
    """The pages to look at, by name. With 0 people there is nothing on them.

    Webhooks arrive at `address`.
    """
    pages = {
        "overview": "",
        "overview of a week": "?window=7d",
        "deliveries": "/deliveries",
        "users": "/users",
        "nobody found": "/users?q=nobody",
        "never seen": "/users/user_2NNEqL2nrIRdJ194ndJqAHwEfxC",
        "subscriptions": "/subscriptions",
        "drift": "/drift",
        "confirm a check": "/drift/check",
        "confirm a repair": "/drift/repair",
        "quarantine": "/quarantine",
        "audit": "/audit",
        "refused": "/nothing/like/that",
    }
    if people:
        sql = await asyncpg.connect(url)
        try:
            pages |= await _filled(clerk, address, database, sql, people)
        finally:
            await sql.close()
    return pages


async def busy(clerk: ClerkEmulator, sql: Any, people: int) -> list[str]:
    """People who signed up, and an hour of their deliveries. Their ids."""
    ids = [_signed_up(clerk, *one) for one in PEOPLE[:people]]
    others = range(people - len(ids))
    ids += [_signed_up(clerk, "User", f"{n}", f"user{n:04}@example.com") for n in others]
    await _arrived(sql, len(ids))
    await sql.execute(SPREAD)
    await sql.execute(FILL, min(len(ids), 40))
    return ids


async def _filled(
    clerk: ClerkEmulator, address: str, database: Database, sql: Any, people: int
) -> dict[str, str]:
    ids = await busy(clerk, sql, people)
    names = HOSTILE.values() if people > len(PEOPLE) else ()
    ids += [_signed_up(clerk, one, one, f"hostile{n}@example.com") for n, one in enumerate(names)]
    ada, grace, prandtl, zoe = ids[:4]
    gone = _signed_up(clerk, "Gone", "Away", "gone@example.com")
    await _arrived(sql, len(ids) + 1)
    clerk.ban_user(grace)
    clerk.lock_user(prandtl)
    clerk.update_user(zoe, public_metadata={"plan": "team", "seats": 7, "note": "x " * 300})
    clerk.delete_user(gone)
    await eventually(lambda: _is_there(sql, "deleted_at is not null", 1), 60)
    await eventually(lambda: _is_there(sql, "banned", 1), 60)
    subscribed = Subscribed(database)
    await subscribed.prepare()
    await _send_what_nobody_can_read(clerk, address)
    await fall_behind(sql, ada)
    # Zoë: our row is newer than Clerk's own.
    await sql.execute(
        "update users set username = 'zoe', clerk_updated_at = clerk_updated_at + interval '1 h'"
        " where clerk_id = $1",
        zoe,
    )
    entry = await sql.fetchval("select max(id) from sync_journal where outcome = 'updated'")
    poison = await sql.fetchval("select max(id) from sync_journal where outcome = 'quarantined'")
    return {
        "filtered": "/deliveries?outcome=stale&since=nonsense",
        "delivery": f"/deliveries/{entry}",
        "quarantined": f"/deliveries/{poison}",
        "body": f"/deliveries/{poison}/body",
        "confirm a replay": f"/deliveries/{poison}/replay",
        "confirm a dismissal": f"/deliveries/{poison}/dismiss",
        "confirm replaying a group": "/quarantine/replay?error=not_json",
        "confirm dismissing a group": "/quarantine/dismiss?error=not_json",
        "users found": "/users?q=u",
        "user differing": f"/users/{ada}",
        "user banned": f"/users/{grace}",
        "user locked": f"/users/{prandtl}",
        "user ahead": f"/users/{zoe}",
        "user deleted": f"/users/{gone}",
        "user with subscriptions": f"/users/{subscribed.ada}",
        "user deleted with subscriptions": f"/users/{subscribed.bob}",
        **{f"user {n}": f"/users/{one}" for n, one in enumerate(ids[4 : len(PEOPLE)])},
        **{
            f"hostile {n}": f"/users/{one}"
            for n, one in enumerate(ids[-len(HOSTILE) :] if people > len(PEOPLE) else ())
        },
        "confirm a sync": f"/users/{ada}/sync",
        "confirm trust": f"/users/{zoe}/trust-clerk",
        "subscription": "/subscriptions/mail",
        "subscription paused": "/subscriptions/crm",
        "subscription content": "/subscriptions/purge",
        "confirm trying again": "/subscriptions/mail/retry",
        "confirm resuming": "/subscriptions/crm/resume",
        "confirm giving up": "/subscriptions/mail/skip",
        "confirm starting over": "/subscriptions/mail/rewind?to=oldest",
    }


async def fall_behind(sql: Any, user_id: str) -> None:
    """Our row is older than Clerk's, and says something else."""
    await sql.execute(
        "update users set last_name = 'Augusta', banned = true,"
        " clerk_updated_at = clerk_updated_at - interval '1 h',"
        " observed_at = observed_at - interval '1 h' where clerk_id = $1",
        user_id,
    )


def _signed_up(clerk: ClerkEmulator, first: str, last: str, email: str) -> str:
    created = clerk.create_user(email_address=[email], first_name=first, last_name=last)
    return str(created["id"])


async def _is_there(sql: Any, condition: str, count: int) -> bool:
    found = await sql.fetchval(f"select count(*) from users where {condition}")
    return bool(found >= count)


async def _arrived(sql: Any, count: int) -> None:
    await eventually(lambda: _is_there(sql, "true", count), 300)


async def _send_what_nobody_can_read(clerk: ClerkEmulator, address: str) -> None:
    secret = clerk.config.webhook_secrets[0]
    async with httpx.AsyncClient(trust_env=False) as http:
        for body in (*UNREADABLE, UNREADABLE[0]):
            headers = svix_headers(secret, body, svix_id=new_id("msg"))
            answer = await http.post(address, content=body, headers=headers)
            assert answer.status_code < 300, orjson.loads(answer.content)

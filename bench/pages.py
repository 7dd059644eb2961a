"""Pages of 500 users written to the store: our statement compared with COPY and MERGE."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median
from uuid import uuid4

import asyncpg
import orjson
from rich.table import Table

from adapters.postgres.columns import JSON_COLUMNS
from adapters.postgres.database import Database
from adapters.postgres.users import PostgresUserRepository
from bench.report import spread
from bench.rounds import from_the
from domain.sync_user import SyncUser
from domain.user import CONTENT_FIELDS, KEPT_FIELDS, Source, User, UserId

PAGE = 500
PAGES = 20
THEN = datetime(2026, 1, 1, tzinfo=UTC)

Page = Sequence[User]
Write = Callable[[Page], Awaitable[object]]

COLUMNS = ("clerk_id", "clerk_updated_at", "observed_at", "digest", *KEPT_FIELDS)
STAGE = f"""
create temporary table stage as select {", ".join(COLUMNS)} from users limit 0;
alter table stage add id uuid not null default gen_random_uuid()
"""  # noqa: S608 - our own column names
NEWER = """
(stage.clerk_updated_at, stage.observed_at, stage.digest)
> (users.clerk_updated_at, users.observed_at, users.digest)
"""
MERGE = f"""
merge into users using stage on users.clerk_id = stage.clerk_id
when matched and users.deleted_at is null and {NEWER}
    then update set {", ".join(f"{name} = stage.{name}" for name in COLUMNS[1:])},
        last_synced_at = now(), synced_by = 'backfill'
when not matched
    then insert (id, {", ".join(COLUMNS)}, synced_by)
        values (stage.id, {", ".join(f"stage.{name}" for name in COLUMNS)}, 'backfill')
"""  # noqa: S608 - our own column names


def _differs(name: str) -> str:
    text = "::text" if name in JSON_COLUMNS else ""
    return f"case when stage.{name}{text} is distinct from users.{name}{text} then '{name}' end"


TRACES = f"""
with news as materialized (
    select stage.clerk_id, coalesce(users.id, stage.id) as user_id, stage.clerk_updated_at,
        case when users.id is null then 'created' else 'updated' end as kind,
        case when users.id is null then '{{}}'
            else array_remove(array[{", ".join(map(_differs, CONTENT_FIELDS))}], null)
        end as changed
    from stage left join users on users.clerk_id = stage.clerk_id
    where users.id is null or users.deleted_at is null and {NEWER}
),
changes as (
    insert into user_changes (clerk_id, user_id, kind, changed, source, occurred_at)
    select clerk_id, user_id, kind, changed, 'backfill', clerk_updated_at from news
    where kind = 'created' or changed <> '{{}}'
)
insert into sync_journal (clerk_id, source, outcome, clerk_updated_at)
select clerk_id, 'backfill', kind, clerk_updated_at from news
"""  # noqa: S608 - our own column names
"""The journal entries and the changes that ours writes, before the merge: they need the old row."""


async def compare(url: str, rounds: int) -> Table:
    """Rows a second. COPY is measured alone, and with the journal and the changes of ours."""
    database = Database(url)
    await database.open()
    connection = await asyncpg.connect(url)
    await connection.execute(STAGE)
    users = PostgresUserRepository(database)
    ways: dict[str, Write] = {
        "ours": lambda page: users.sync_many(_commands(page)),
        "COPY + merge": lambda page: _copy(connection, page, MERGE),
        "the same + journal + changes": lambda page: _copy(connection, page, TRACES, MERGE),
    }
    measured = [await _round(dict(from_the(number, [*ways.items()]))) for number in range(rounds)]
    await connection.close()
    await database.close()
    return _table(measured, list(ways))


async def _copy(
    connection: "asyncpg.Connection[asyncpg.Record]", page: Page, *statements: str
) -> None:
    async with connection.transaction():
        await connection.copy_records_to_table(
            "stage", records=[_record(user) for user in page], columns=list(COLUMNS)
        )
        for statement in statements:
            await connection.execute(statement)
        await connection.execute("truncate stage")


async def _round(ways: Mapping[str, Write]) -> dict[str, dict[str, float]]:
    """Rows a second, by kind of page and by method. Each method has pages of other users."""
    crowd = {name: [_new_page() for _ in range(PAGES)] for name in ways}
    pages = {
        "new": crowd,
        "changed": {name: [_changed(page) for page in crowd[name]] for name in ways},
    }
    pages["unchanged"] = pages["changed"]
    return {
        kind: {name: await _rate(write, pages[kind][name]) for name, write in ways.items()}
        for kind in pages
    }


async def _rate(write: Write, pages: Sequence[Page]) -> float:
    started = time.perf_counter()
    for page in pages:
        await write(page)
    return sum(map(len, pages)) / (time.perf_counter() - started)


def _new_page() -> Page:
    return [_user(number) for number in range(PAGE)]


def _user(number: int) -> User:
    return User(
        clerk_id=UserId(f"user_{uuid4().hex[:27]}"),
        clerk_updated_at=THEN,
        observed_at=THEN,
        email=f"person{number}@example.com",
        first_name="Person",
        last_name=f"Number {number}",
        image_url=f"https://img.clerk.com/{number}",
        public_metadata={"plan": "pro"},
        clerk_created_at=THEN,
    )


def _changed(page: Page) -> Page:
    later = THEN + timedelta(days=1)
    return [
        replace(user, first_name="Changed", clerk_updated_at=later, observed_at=later)
        for user in page
    ]


def _commands(page: Page) -> list[SyncUser]:
    return [SyncUser(change=user, source=Source.BACKFILL) for user in page]


def _record(user: User) -> tuple[object, ...]:
    contents = {name: getattr(user, name) for name in KEPT_FIELDS}
    for name in JSON_COLUMNS:
        contents[name] = orjson.dumps(contents[name]).decode()
    version = (user.clerk_id, user.clerk_updated_at, user.observed_at, user.digest)
    return (*version, *contents.values())


def _table(measured: Sequence[Mapping[str, Mapping[str, float]]], ways: Sequence[str]) -> Table:
    shown = Table(title=f"pages of {PAGE} into the store", title_justify="left")
    for heading in ("pages", "way"):
        shown.add_column(heading)
    for heading in ("rows/s", "ours ÷"):
        shown.add_column(heading, justify="right")
    for kind in measured[0]:
        for way in ways:
            shown.add_row(kind, way, *_figures([one[kind] for one in measured], way))
        shown.add_section()
    return shown


def _figures(measured: Sequence[Mapping[str, float]], way: str) -> tuple[str, str]:
    rate = f"{median(one[way] for one in measured):,.0f}"
    return rate, "" if way == "ours" else str(spread(one["ours"] / one[way] for one in measured))

"""Effects of changes, as plain rows of a table that is none of ours, and what they must be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from tests.postgres_server import Sql

EFFECTS = """
create table effects (
    id bigint generated always as identity, subscription text, position bigint, clerk_id text,
    kind text, has_record boolean, pid integer
);
create table effects_by_key (key text primary key, subscription text)
"""
"""Each effect is a row of the first table. In the second, an effect with the same key is one."""

FORGET = "drop table effects, effects_by_key"

_NOTE = """
with by_key as (
    insert into effects_by_key (key, subscription) values ($1 || ':' || $2::bigint, $1)
    on conflict (key) do nothing
)
insert into effects (subscription, position, clerk_id, kind, has_record, pid)
values ($1, $2, $3, $4, $5, $6)
"""


class Fact(NamedTuple):
    """A change, or an effect that has one."""

    position: int
    kind: str


class Effect(NamedTuple):
    """What a receiver of a change wrote down."""

    clerk_id: str
    fact: Fact
    has_record: bool


async def note_effect(
    pool: "asyncpg.Pool[Any]",
    subscription: str,
    fact: Fact,
    clerk_id: str,
    *,
    has_record: bool,
    pid: int,
) -> None:
    """One effect, as any program would write it down."""
    position, kind = fact
    await pool.execute(_NOTE, subscription, position, clerk_id, kind, has_record, pid)


async def recorded(store: Sql, sources: Sequence[str]) -> dict[str, list[Fact]]:
    """The changes of each user from those sources, in order."""
    changes: dict[str, list[Fact]] = defaultdict(list)
    query = """
        select clerk_id, position, kind from user_changes
        where source = any ($1) order by clerk_id, id
    """
    for clerk_id, position, kind in await store.fetch(query, sources):
        changes[clerk_id].append(Fact(position, kind))
    return changes


async def judge(sql: Sql, subscription: str, changes: Mapping[str, Sequence[Fact]]) -> int:
    """How many effects were repetitions. Raises `AssertionError` as `repetitions` does, and if the
    effects of one key were not counted as one.
    """
    query = """
        select clerk_id, position, kind, has_record from effects
        where subscription = $1 order by id
    """
    effects = [
        Effect(clerk_id, Fact(position, kind), has_record)
        for clerk_id, position, kind, has_record in await sql.fetch(query, subscription)
    ]
    repeated = repetitions(effects, changes)
    keys = "select count(*) from effects_by_key where subscription = $1"
    assert await sql.fetchval(keys, subscription) == sum(map(len, changes.values()))
    return repeated


def repetitions(effects: Iterable[Effect], changes: Mapping[str, Sequence[Fact]]) -> int:
    """How many there were. Raises `AssertionError` unless every change arrived, none was invented,
    each user's came in order, and no record came after a deletion.

    After a repetition the user's later changes come again too: so no effect is more than one
    change ahead of the user's last.
    """
    places = {
        (clerk_id, fact): place
        for clerk_id, facts in changes.items()
        for place, fact in enumerate(facts)
    }
    last: dict[str, int] = defaultdict(lambda: -1)
    furthest: dict[str, int] = defaultdict(lambda: -1)
    gone: set[str] = set()
    repeated = 0
    for effect in effects:
        clerk_id = effect.clerk_id
        place = places.get((clerk_id, effect.fact))
        assert place is not None, f"no such change: {effect}"
        assert place <= last[clerk_id] + 1, f"came before the one before: {effect}"
        assert not (effect.has_record and clerk_id in gone), f"a record after all: {effect}"
        repeated += place <= furthest[clerk_id]
        last[clerk_id], furthest[clerk_id] = place, max(place, furthest[clerk_id])
        if effect.fact.kind == "deleted":
            gone.add(clerk_id)
    lost = {one: facts for one, facts in changes.items() if furthest[one] != len(facts) - 1}
    assert lost == {}, "not all of these arrived"
    return repeated

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from adapters.clerk.prove.token_memory import TokenMemory
from domain.ports import Session
from domain.user import UserId
from tests.adapters.clerk.clock import Clock

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def session(name: str = "a") -> Session:
    return Session(
        user_id=UserId(f"user_{name}"),
        session_id="sess_1",
        authorized_party=None,
        actor=None,
        issued_at=START,
        expires_at=START + timedelta(seconds=60),
        claims={},
    )


def test_a_session_is_recalled_by_its_digest() -> None:
    memory = TokenMemory(leeway=5)
    memory.remember(b"a", 0, session())
    assert memory.recall(b"a", 0) == session()
    assert memory.recall(b"b", 0) is None


def test_the_leeway_belongs_to_the_life_of_a_token(now: time_machine.Traveller) -> None:
    memory = TokenMemory(leeway=5)
    memory.remember(b"a", 0, session())
    now.move_to(START + timedelta(seconds=64.9))
    assert memory.recall(b"a", 0)
    now.move_to(START + timedelta(seconds=65))
    assert memory.recall(b"a", 0) is None


def test_no_entry_is_good_for_longer_than_its_seconds() -> None:
    memory = TokenMemory(leeway=5, seconds=0)
    memory.remember(b"a", 0, session())
    assert memory.recall(b"a", 0) is None


def test_defaults_to_a_minute_and_ten_thousand_entries() -> None:
    clock = Clock()
    memory = TokenMemory(leeway=5, clock=clock)
    for number in range(10_000):
        memory.remember(b"%d" % number, 0, session())
    clock.pass_seconds(59.5)
    assert memory.recall(b"0", 0)
    memory.remember(b"one more", 0, session())
    assert (memory.recall(b"0", 0), memory.recall(b"1", 0)) == (None, session())
    clock.pass_seconds(0.5)
    assert memory.recall(b"1", 0) is None
    assert memory.recall(b"one more", 0)


def test_the_oldest_goes_first_when_full() -> None:
    memory = TokenMemory(leeway=5, size=2)
    for name in ("a", "b", "c"):
        memory.remember(name.encode(), 0, session(name))
    assert [memory.recall(name, 0) is None for name in (b"a", b"b", b"c")] == [True, False, False]


def test_remembering_again_takes_no_other_ones_place() -> None:
    memory = TokenMemory(leeway=5, size=2)
    for name in ("a", "b", "b", "b"):
        memory.remember(name.encode(), 0, session(name))
    assert memory.recall(b"a", 0)


def test_new_keys_empty_it() -> None:
    memory = TokenMemory(leeway=5)
    memory.remember(b"a", 0, session("a"))
    assert memory.recall(b"a", 1) is None
    memory.remember(b"b", 1, session("b"))
    assert memory.recall(b"a", 1) is None
    assert memory.recall(b"b", 1)

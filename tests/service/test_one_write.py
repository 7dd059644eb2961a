"""All writes of one turn of the event loop are one system call."""

import asyncio
from typing import cast

import pytest

from service.edge.transport import MAX_BUFFERED, OneWrite


class Wire:
    """A transport that records each write."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def transport_of(wire: Wire) -> OneWrite:
    return OneWrite(cast("asyncio.Transport", wire), asyncio.get_running_loop())


async def test_a_head_and_its_body_are_sent_at_once() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.writes == []
    await asyncio.sleep(0)
    assert wire.writes == [b"head body"]


async def test_writes_sent_early_are_not_sent_again() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"a part")
    transport.send_now()
    assert wire.writes == [b"a part"]
    await asyncio.sleep(0)
    assert wire.writes == [b"a part"]


async def test_answers_of_one_turn_are_sent_in_the_next() -> None:
    """A client that is woken early would have to wait for the other answers."""
    wires = [Wire(), Wire()]
    for wire in wires:
        asyncio.get_running_loop().call_soon(transport_of(wire).write, b"answer")
    asyncio.get_running_loop().call_soon(lambda: seen.extend(wire.writes for wire in wires))
    seen: list[list[bytes]] = []
    await asyncio.sleep(0)
    assert seen == [[], []]
    await asyncio.sleep(0)
    assert [wire.writes for wire in wires] == [[b"answer"], [b"answer"]]


async def test_what_is_large_is_not_held_back() -> None:
    wire = Wire()
    transport_of(wire).write(b"x" * (MAX_BUFFERED + 1))
    assert len(wire.writes) == 1


async def test_nothing_is_lost_by_closing_and_nothing_is_written_after() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"the end")
    transport.close()
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert (wire.writes, wire.closed) == ([b"the end"], True)


@pytest.mark.parametrize("order", [1, -1])
async def test_it_reads_while_neither_switch_is_off(order: int) -> None:
    wire = Wire()
    transport = transport_of(wire)
    for switch_off in (transport.pause_reading, transport.hold_reading):
        switch_off()
        assert not wire.reading
    first, last = [transport.resume_reading, transport.release_reading][::order]
    first()
    assert not wire.reading
    last()
    assert wire.reading

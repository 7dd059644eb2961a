"""What is written in one turn of the event loop is one call to the system."""

import asyncio
from typing import cast

from service.server import MOST_HELD_BACK, OneWrite


class Wire:
    """Remembers each write; stands where the socket would."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def transport_of(wire: Wire) -> OneWrite:
    return OneWrite(cast("asyncio.Transport", wire), asyncio.get_running_loop())


async def test_a_head_and_its_body_are_sent_at_once() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.writes == []
    transport.send_now()
    await asyncio.sleep(0)
    assert wire.writes == [b"head body"]


async def test_what_nobody_sends_goes_with_the_next_turn_of_the_loop() -> None:
    wire = Wire()
    transport_of(wire).write(b"a part")
    await asyncio.sleep(0)
    assert wire.writes == [b"a part"]


async def test_what_is_large_is_not_held_back() -> None:
    wire = Wire()
    transport_of(wire).write(b"x" * (MOST_HELD_BACK + 1))
    assert len(wire.writes) == 1


async def test_nothing_is_lost_by_closing_and_nothing_is_written_after() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"the end")
    transport.close()
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert (wire.writes, wire.closed) == ([b"the end"], True)

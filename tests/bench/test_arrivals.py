"""The requests of the benchmark."""

from collections.abc import Iterable

import orjson

from bench.arrivals import World, arrivals
from bench.works import Work

WORLD = World(instance_id="ins_1", secret="whsec_c2VjcmV0", template={}, tokens=(), users=1)


def test_no_turn_repeats_the_deliveries_of_another_which_would_change_nothing() -> None:
    one, other = (_contents(arrivals(Work.FRESH_DELIVERY, WORLD, 10)) for _ in range(2))
    assert len(one) == len(other) == 10
    assert one.isdisjoint(other)


def _contents(requests: Iterable[bytes]) -> set[tuple[str, str]]:
    bodies = [orjson.loads(request.partition(b"\r\n\r\n")[2])["data"] for request in requests]
    return {(body["id"], body["first_name"]) for body in bodies}

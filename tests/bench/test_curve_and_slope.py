"""The drawings and computations of the benchmark."""

from xml.etree import ElementTree as ET

import pytest

from bench.curve import curve, height
from bench.growth import costs
from bench.memory import Sample, slope
from bench.rounds import Turn
from bench.works import Load, Work


def test_the_slope_is_in_megabytes_per_hundred_thousand_requests() -> None:
    samples = [Sample(requests=n * 200_000, resident=90 + n * 3.0) for n in range(4)]
    assert slope(samples) == pytest.approx(1.5)


def test_memory_that_stays_has_no_slope() -> None:
    assert slope([Sample(requests=n, resident=95.0) for n in range(5)]) == 0


def test_half_the_speed_is_twice_the_cost() -> None:
    rounds = [[_turn("few", 2000.0), _turn("many", 1000.0)]]
    assert costs(rounds, Work.KNOWN_USER, ["few", "many"]) == [1.0, 2.0]


def test_the_picture_is_well_formed_and_has_a_point_for_every_size() -> None:
    drawn = ET.fromstring(curve([10, 1_000, 5_000], [[1, 1.1, 1.2], [1, 0.9, 1.3]]))
    points = [line.get("points", "").split() for line in drawn.iter() if "points" in line.attrib]
    assert [len(line) for line in points] == [3, 2, 3, 2]


def test_what_costs_more_is_drawn_higher_and_never_outside() -> None:
    assert height(9.0) == height(1.5) < height(1.25) < height(1.0) < height(0.1)


def _turn(contestant: str, per_second: float) -> Turn:
    return Turn(
        contestant=contestant,
        work=Work.KNOWN_USER,
        load=Load(),
        per_second=per_second,
        p50=1.0,
        p99=2.0,
        server_cpu=None,
        store_cpu=None,
        memory=None,
        disturbance=None,
    )

"""What the benchmark says about CPU, about other processes and about the interpreter."""

import os
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from bench.interpreter import built
from bench.picture import picture
from bench.processes import PROC, CpuTimes, cpu_times
from bench.report import cpu, quiet, ratio, tables
from bench.rounds import Turn
from bench.works import Load, Work

BURN = """
import sys, time
print("ready", flush=True)
sys.stdin.readline()
until = time.process_time() + 0.3
while time.process_time() < until: pass
print("burnt", flush=True)
sys.stdin.read()
"""

linux = pytest.mark.skipif(not (PROC / "stat").exists(), reason="needs /proc")


@linux
def test_cpu_counts_for_the_process_that_used_it_and_not_as_a_disturbance() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as burning:
        assert burning.stdin is not None
        assert burning.stdout is not None
        assert burning.stdout.readline() == b"ready\n"
        before = cpu_times(server=burning.pid, store=os.getpid())
        burning.stdin.write(b"\n")
        burning.stdin.flush()
        assert burning.stdout.readline() == b"burnt\n"
        after = cpu_times(server=burning.pid, store=os.getpid())
        burning.communicate()
    assert before is not None
    assert after is not None
    spent = after - before
    assert 0.25 < spent.server < 0.5
    assert spent.store > 0.25  # the burning process is a child of this one


@linux
def test_cpu_of_a_child_that_has_ended_still_counts() -> None:
    before = cpu_times(server=os.getpid(), store=os.getpid())
    subprocess.run([sys.executable, "-c", BURN], stdin=subprocess.DEVNULL, check=True)
    after = cpu_times(server=os.getpid(), store=os.getpid())
    assert before is not None
    assert after is not None
    assert (after - before).server > 0.25


def test_a_disturbance_is_in_cores() -> None:
    earlier = CpuTimes(moment=10.0, server=1.0, store=1.0, others=50.0)
    assert (replace(earlier, moment=14.0, others=52.0) - earlier).disturbance == 0.5


def test_an_interpreter_is_optimized_only_if_its_build_says_so() -> None:
    image = "'--enable-optimizations' '--with-lto' '--enable-shared'"
    assert built({"CONFIG_ARGS": image}) == "optimized (PGO, LTO)"
    plain = {"CONFIG_ARGS": "'--enable-shared'", "PGO_PROF_USE_FLAG": "-fprofile-use"}
    assert built(plain).startswith("NOT optimized")
    assert "does not tell" in built({"CONFIG_ARGS": "'--prefix=/usr'", "PGO_PROF_USE_FLAG": ""})


def test_cpu_beside_others_is_theirs_over_ours() -> None:
    rounds = [[_turn("ours", server=100, store=100), _turn("peer", server=150, store=250)]]
    found = ratio(rounds, cpu, "peer", "ours")
    assert found is not None
    assert found.middle == 2.0


def test_the_report_says_how_many_turns_were_repeated_and_stayed_disturbed() -> None:
    rounds = [[replace(_turn("ours"), tries=3, disturbance=0.4), _turn("peer")]]
    assert "2 turns and 2 repetitions; 1 stayed disturbed" in quiet(rounds)


def test_a_system_that_does_not_tell_the_cpu_is_reported_too() -> None:
    unknown = replace(_turn("ours"), server_cpu=None, store_cpu=None, disturbance=None)
    rounds = [[unknown, replace(unknown, contestant="peer")]]
    assert len(tables(rounds, "ours")) == 1
    assert "does not tell" in quiet(rounds)
    ET.fromstring(picture(rounds, "ours"))


def test_the_picture_has_the_server_within_the_whole() -> None:
    rounds = [[_turn("ours", server=100, store=100), _turn("peer", server=150, store=250)]]
    drawn = ET.fromstring(picture(rounds, "ours"))
    widths = {
        one.attrib["class"]: int(one.attrib["width"])
        for one in drawn.iter()
        if "class" in one.attrib and "width" in one.attrib
    }
    assert widths["store ours"] == 2 * widths["server ours"]
    assert widths["store"] == 2 * widths["store ours"]


def _turn(contestant: str, server: float = 100, store: float = 50) -> Turn:
    return Turn(
        contestant=contestant,
        work=Work.KNOWN_USER,
        load=Load(),
        per_second=1_000.0,
        p50=1.0,
        p99=2.0,
        server_cpu=server,
        store_cpu=store,
        memory=90.0,
        disturbance=0.0,
    )

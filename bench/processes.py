"""CPU time and memory of processes, from `/proc`. On a system without it, nothing is known."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PROC = Path("/proc")
KTHREADD = 2
"""The parent of the kernel's threads. They work on our behalf: they write what the store syncs."""


@dataclass(frozen=True, kw_only=True)
class CpuTimes:
    """Seconds of CPU: of the server, of the store, and of all processes that are not the bench's.

    `others` includes what the machine's own host took away. `moment` is on the monotonic clock.
    """

    moment: float
    server: float
    store: float
    others: float

    def __sub__(self, earlier: Self) -> "CpuTimes":
        return CpuTimes(
            moment=self.moment - earlier.moment,
            server=self.server - earlier.server,
            store=self.store - earlier.store,
            others=self.others - earlier.others,
        )

    @property
    def disturbance(self) -> float:
        """The cores that others kept busy, on average: 0.5 is half of one."""
        return max(0.0, self.others / self.moment)


def cpu_times(server: int, store: int) -> CpuTimes | None:
    """The times until now of the trees of processes that begin with these two."""
    if not (PROC / "stat").exists():
        return None
    busy = _busy()
    processes = dict(_processes())
    ours = _tree(processes, [os.getpid(), server, store, KTHREADD])
    return CpuTimes(
        moment=time.monotonic(),
        server=_seconds(processes, _tree(processes, [server])),
        store=_seconds(processes, _tree(processes, [store])),
        others=busy - _seconds(processes, ours),
    )


def memory(pid: int) -> float | None:
    """Resident memory in MB."""
    statm = PROC / str(pid) / "statm"
    if not statm.exists():
        return None
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True, kw_only=True)
class _Process:
    """`ticks` are those of the process and of its children that have ended."""

    parent: int
    ticks: int


def _processes() -> Iterable[tuple[int, _Process]]:
    for folder in PROC.glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        fields = stat.rpartition(")")[2].split()
        yield (
            int(folder.name),
            _Process(parent=int(fields[1]), ticks=sum(map(int, fields[11:15]))),
        )


def _tree(processes: Mapping[int, _Process], roots: Iterable[int]) -> set[int]:
    children = defaultdict(list)
    for pid, process in processes.items():
        children[process.parent].append(pid)
    found: set[int] = set()
    waiting = [pid for pid in roots if pid in processes]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found.add(pid)
            waiting += children[pid]
    return found


def _seconds(processes: Mapping[int, _Process], those: Iterable[int]) -> float:
    return sum(processes[pid].ticks for pid in those) / os.sysconf("SC_CLK_TCK")


def _busy() -> float:
    """User, nice, system and stolen time of all cores. Interrupts belong to nobody."""
    line = (PROC / "stat").read_text().split("\n", 1)[0].split()
    return sum(int(line[n]) for n in (1, 2, 3, 8)) / os.sysconf("SC_CLK_TCK")

"""What process trees use: CPU time and memory, from /proc. Called by the rounds and the proofs."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.processes import Served

_TICK = os.sysconf("SC_CLK_TCK")
DATABASE = "mongod"


@dataclass(frozen=True)
class Memory:
    """Of a process tree, in KiB: pages that processes share count once in ``pss``."""

    rss: int
    pss: int


def tree(root: int) -> list[int]:
    """A process and its descendants, without a MongoDB among them."""
    children: dict[int, list[int]] = defaultdict(list)
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            names[int(entry.name)], fields = stat
            children[int(fields[1])].append(int(entry.name))
    found, left = [], [root]
    while left:
        pid = left.pop()
        if names.get(pid, DATABASE) != DATABASE:
            found.append(pid)
            left += children[pid]
    return found


def _stat(pid: int) -> tuple[str, list[str]] | None:
    """The name of a process, and the fields of its stat from the state on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    before, _, after = text.rpartition(")")
    return before.partition("(")[2], after.split()


def cpu_seconds(pids: list[int]) -> float:
    """User and system time that these processes have used so far."""
    ticks = 0
    for pid in pids:
        if stat := _stat(pid):
            ticks += int(stat[1][11]) + int(stat[1][12])
    return ticks / _TICK


def memory_of(pids: list[int]) -> Memory:
    """What these processes hold."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            if name in sums:
                sums[name] += int(rest.split()[0])
    return Memory(rss=sums["Rss"], pss=sums["Pss"])


def memory(served: Served) -> list[int]:
    """The resident memory of each worker in KiB; quick, for those who look all the time."""
    return [
        int(line.split()[1])
        for pid in served.children()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS")
    ]

"""Rounds of load in turn over all servers, so that the machine's moods meet each of them."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.load import Load, ask, drive
from bench.subjects import Subject
from bench.usage import Memory, cpu_seconds, memory_of, tree

WARM_UP = 1
# A server is at rest again when it uses less of a core than this, or after so many looks.
_REST, _LOOKS = 0.1, 50


@dataclass(frozen=True)
class Sample:
    """One round of one server; CPU time in µs a request, of the server and of MongoDB."""

    load: Load
    cpu: float
    database: float


@dataclass(frozen=True)
class Figure:
    """The medians of a server's rounds; times in ms, CPU time in µs a request, memory in KiB."""

    rate: float
    p50: float
    p99: float
    cpu: float
    database: float
    rss: int
    pss: int
    requests: int
    rates: list[float]

    def as_json(self) -> dict[str, object]:
        return {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def measure(
    subjects: list[Subject], name: str, directory: Path, *, rounds: int, seconds: float
) -> dict[str, Figure]:
    """A workload on all servers that have it, by their names.

    Raises LoadFailed when an answer is not 2xx, AssertionError when it is not the right one.
    """
    having = [subject for subject in subjects if name in subject.build]
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in having}
    for subject in having:
        _verify(subject, name, directory)
        _round(subject, name, directory, WARM_UP, 0)
    for number in range(rounds):
        for subject in having:
            start = (number + 1) * 2503
            samples[subject.name].append(_round(subject, name, directory, seconds, start))
    return {s.name: _figure(samples[s.name], memory_of(tree(s.process.pid))) for s in having}


def _verify(subject: Subject, name: str, directory: Path) -> None:
    workload, _ = subject.workload(name, directory)
    workload.before()
    status, body = ask(subject.port, workload.requests[0])
    assert 200 <= status < 300, f"{subject.name}, {name}: {status} {body[:1000]!r}"
    workload.check(body)


def _round(subject: Subject, name: str, directory: Path, seconds: float, start: int) -> Sample:
    workload, replay = subject.workload(name, directory)
    workload.before()
    pids = tree(subject.process.pid)
    before = cpu_seconds(pids), cpu_seconds([subject.database_pid])
    load = drive(subject.port, replay, seconds, start)
    after = cpu_seconds(pids), cpu_seconds([subject.database_pid])
    _rest(pids)
    used, stored = (
        (late - early) / load.requests for early, late in zip(before, after, strict=True)
    )
    return Sample(load=load, cpu=used * 1e6, database=stored * 1e6)


def _rest(pids: list[int]) -> None:
    """Wait until a server has done with what was under way when the load ended."""
    used = cpu_seconds(pids)
    for _ in range(_LOOKS):
        time.sleep(0.1)
        before, used = used, cpu_seconds(pids)
        if used - before <= _REST * 0.1:
            return


def _figure(samples: list[Sample], memory: Memory) -> Figure:
    loads = [sample.load for sample in samples]
    return Figure(
        rate=statistics.median(load.rate for load in loads),
        p50=statistics.median(load.p50 for load in loads),
        p99=statistics.median(load.p99 for load in loads),
        cpu=statistics.median(sample.cpu for sample in samples),
        database=statistics.median(sample.database for sample in samples),
        rss=memory.rss,
        pss=memory.pss,
        requests=sum(load.requests for load in loads),
        rates=[round(load.rate, 1) for load in loads],
    )

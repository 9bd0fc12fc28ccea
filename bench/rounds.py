"""Rounds of load in turn over all servers, so that the machine's moods meet each of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.subjects import Measurable, Sample
from bench.usage import Memory

WARM_UP = 3
# Where the next round begins among the requests: a prime, so that rounds meet others.
_STRIDE = 2503


@dataclass(frozen=True)
class Figure:
    """The medians of a server's rounds; times in ms, CPU time in µs a request, memory in KiB."""

    rate: float
    p50: float
    p99: float
    cpu: float
    database: float
    rss: int | None
    pss: int | None
    requests: int
    rates: list[float]

    def as_json(self) -> dict[str, object]:
        return {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }


def measure(
    subjects: Sequence[Measurable], name: str, directory: Path, *, rounds: int, seconds: float
) -> dict[str, Figure]:
    """A workload on all servers that have it, by their names.

    Raises LoadFailed when an answer is not 2xx, AssertionError when it is not the right one.
    """
    having = [subject for subject in subjects if subject.has(name)]
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in having}
    for subject in having:
        subject.verify(name, directory)
        subject.warm_up(name, directory, min(WARM_UP, seconds))
    for number in range(1, rounds + 1):
        # To and fro: whoever comes after a server that heats the machine is not always the same.
        for subject in having if number % 2 else having[::-1]:
            sample = subject.sample(name, directory, seconds, number * _STRIDE)
            samples[subject.name].append(sample)
    return {subject.name: _figure(samples[subject.name], subject.memory()) for subject in having}


def _figure(samples: list[Sample], memory: Memory | None) -> Figure:
    loads = [sample.load for sample in samples]
    return Figure(
        rate=statistics.median(load.rate for load in loads),
        p50=statistics.median(load.p50 for load in loads),
        p99=statistics.median(load.p99 for load in loads),
        cpu=statistics.median(sample.cpu for sample in samples),
        database=statistics.median(sample.database for sample in samples),
        rss=memory.rss if memory else None,
        pss=memory.pss if memory else None,
        requests=sum(load.requests for load in loads),
        rates=[round(load.rate, 1) for load in loads],
    )

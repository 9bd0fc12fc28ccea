"""What is measured, for Prometheus: requests by route template, operations of the database, and
its connections; all workers' figures together.

The WSGI entry switches it on in each worker, the middleware tells it of requests, the data layer
of operations and connections, and the view of /metrics shows it. A worker counts in memory and
writes its figures down every second, into a file of its own in the data directory, which the
server empties when it starts; in other processes it does nothing.
"""

from __future__ import annotations

import os
import shutil
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

Labels = tuple[str, ...]

_lock = threading.Lock()
_enabled = False
_count_connections: Callable[[], dict[str, int]] | None = None


class _Histogram:
    """Observations by labels: how many in each bucket, and the sum of all."""

    def __init__(self, name: str, help_: str, *labels: str) -> None:
        self.name, self.help, self.labels = name, help_, labels
        self.seen: dict[Labels, list[float]] = {}

    def observe(self, labels: Labels, seconds: float) -> None:
        """Count one."""
        place = bisect_left(_BUCKETS, seconds)
        with _lock:
            counts = self.seen.get(labels)
            if counts is None:
                counts = self.seen[labels] = [0.0] * (len(_BUCKETS) + 2)
            counts[place] += 1
            counts[-1] += seconds


_requests = _Histogram(
    "coglex_http_request_duration_seconds",
    "Time from a request's head to its answer's head.",
    "method",
    "route",
    "status",
)
_operations = _Histogram(
    "coglex_database_operation_duration_seconds",
    "Time of an operation of MongoDB, as the driver sees it.",
    "operation",
    "outcome",
)
_HISTOGRAMS = (_requests, _operations)
_CONNECTIONS = "coglex_database_connections"
_STATES = ("open", "in_use")


def _directory() -> Path:
    return Path(settings.DATA_DIR) / "metrics"


def reset() -> None:
    """Forget everything; called once, before the workers start."""
    shutil.rmtree(_directory(), ignore_errors=True)


def enable() -> None:
    """Begin to count in this process."""
    global _enabled  # noqa: PLW0603 - a process counts, or does not
    _directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    _enabled = True


def observe_request(*, method: str | None, route: str | None, status: int, seconds: float) -> None:
    """Count and time a request. Labels are few: templates of routes, never paths."""
    if _enabled:
        known = method if method in _METHODS else "other"
        _requests.observe((known or "other", route or "none", str(status)), seconds)


def observe_operation(*, operation: str, outcome: str, seconds: float) -> None:
    """Count and time an operation of the database: a command's name, and ``ok`` or ``failed``."""
    if _enabled:
        _operations.observe((operation, outcome), seconds)


def watch_connections(count: Callable[[], dict[str, int]]) -> None:
    """Let ``count`` say how many connections to the database are ``open``, and ``in_use``."""
    global _count_connections  # noqa: PLW0603 - a process has one client of the database
    _count_connections = count


def keep() -> None:
    """Write this process's figures down, for whichever worker is asked for all of them."""
    if not _enabled:
        return
    connections = _count_connections() if _count_connections else dict.fromkeys(_STATES, 0)
    with _lock:
        figures = [
            {
                each.name: [[labels, counts] for labels, counts in each.seen.items()]
                for each in _HISTOGRAMS
            },
            connections,
        ]
        written = orjson.dumps(figures)
    draft = _directory() / f"{os.getpid()}.draft"
    with suppress(OSError):  # A full disk, or another server that began anew.
        draft.write_bytes(written)
        draft.replace(_directory() / f"{os.getpid()}.json")


def _kept() -> Iterator[tuple[int, dict[str, list[Any]], dict[str, int]]]:
    """The figures of each worker since the server started: its pid, histograms and gauges."""
    for path in sorted(_directory().glob("*.json")):
        histograms, gauges = orjson.loads(path.read_bytes())
        yield int(path.stem), histograms, gauges


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _AllWorkers:
    """What Prometheus's library asks for its metrics."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily

        workers = list(_kept())
        for each in _HISTOGRAMS:
            family = HistogramMetricFamily(each.name, each.help, labels=each.labels)
            for labels, counts in _added(each.name, workers).items():
                *several, total = counts
                bounds = [*map(str, _BUCKETS), "+Inf"]
                buckets = list(zip(bounds, accumulate(several), strict=True))
                family.add_metric(labels, buckets, total)
            yield family
        # Connections of the dead are gone with them.
        gauges = [figures for pid, _, figures in workers if _lives(pid)]
        help_ = "Connections to MongoDB that are open, and of these in use."
        gauge = GaugeMetricFamily(_CONNECTIONS, help_, labels=["state"])
        for state in _STATES if gauges else ():
            gauge.add_metric([state], sum(figures[state] for figures in gauges))
        yield gauge


def _added(name: str, workers: list[tuple[int, dict[str, list[Any]], Any]]) -> dict[Any, list[Any]]:
    """The counts of all workers by labels."""
    added: dict[Any, list[Any]] = {}
    for _, histograms, _ in workers:
        for labels, counts in histograms.get(name, ()):
            before = added.get(key := tuple(labels))
            added[key] = [a + b for a, b in zip(before, counts, strict=True)] if before else counts
    return added


def exposition() -> bytes:
    """The figures of all workers since the server started, in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    keep()
    registry: Any = CollectorRegistry()
    registry.register(_AllWorkers())
    shown: bytes = generate_latest(registry)
    return shown

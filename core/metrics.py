"""What is measured, for Prometheus: requests by route template, operations of the database, and
its connections; all workers' figures together.

The WSGI entry switches it on in each worker, the middleware tells it of requests, the data layer
of operations and connections, and the view of /metrics shows it. The processes share it through
files in the data directory, which the server empties when it starts; in other processes it does
nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

_requests: Any = None
_operations: Any = None
_connections: Any = None


def _directory() -> Path:
    return Path(settings.DATA_DIR) / "metrics"


def reset() -> None:
    """Forget everything; called once, before the workers start."""
    shutil.rmtree(_directory(), ignore_errors=True)


def enable() -> None:
    """Begin to time in this process."""
    global _requests, _operations, _connections  # noqa: PLW0603
    _directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    # The library looks at this when it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_directory())
    from prometheus_client import CollectorRegistry, Gauge, Histogram

    _requests = Histogram(
        "coglex_http_request_duration_seconds",
        "Time from a request's head to its answer's head.",
        ["method", "route", "status"],
        buckets=_BUCKETS,
        registry=CollectorRegistry(),
    )
    _operations = Histogram(
        "coglex_database_operation_duration_seconds",
        "Time of an operation of MongoDB, as the driver sees it.",
        ["operation", "outcome"],
        buckets=_BUCKETS,
        registry=CollectorRegistry(),
    )
    _connections = Gauge(
        "coglex_database_connections",
        "Connections to MongoDB that are open, and of these in use.",
        ["state"],
        multiprocess_mode="livesum",
        registry=CollectorRegistry(),
    )


def observe_request(*, method: str | None, route: str | None, status: int, seconds: float) -> None:
    """Count and time a request. Labels are few: templates of routes, never paths."""
    if _requests is None:
        return
    known = method if method in _METHODS else "other"
    _requests.labels(known, route or "none", str(status)).observe(seconds)


def observe_operation(*, operation: str, outcome: str, seconds: float) -> None:
    """Count and time an operation of the database: a command's name, and ``ok`` or ``failed``."""
    if _operations is not None:
        _operations.labels(operation, outcome).observe(seconds)


def add_connections(*, state: str, more: int) -> None:
    """Count connections to the database that are ``open``, or ``in_use``."""
    if _connections is not None:
        _connections.labels(state).inc(more)


def _forget_the_dead() -> None:
    """Gauges are those of the processes that live."""
    from prometheus_client.multiprocess import mark_process_dead

    for path in _directory().glob("gauge_live*_*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(_directory()))  # type: ignore[no-untyped-call]
        except PermissionError:
            continue


def exposition() -> bytes:
    """The figures of all workers since the server started, in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    _directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    _forget_the_dead()
    collector: Any = MultiProcessCollector
    collector(registry, path=str(_directory()))
    shown: bytes = generate_latest(registry)
    return shown

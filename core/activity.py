"""How much goes on: requests and errors by the hour, over all workers, for the admin's dashboard.

The middleware counts in memory; a thread of each worker writes it down every few seconds, and
with it what was slow and measured. Without that thread nothing is counted.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from multiprocessing.util import Finalize
from typing import Any

import structlog

from core import metrics, slow
from core.data.records import Records
from core.errors import CoglexError
from core.times import aware, now

log = structlog.get_logger("coglex.activity")

_EVERY_SECONDS = 5
_DAYS = 8
KINDS = ("requests", "client_errors", "server_errors")

hours = Records("activity")
hours.declare(("expires_at", 1), expires=True)

# By the hour since 1970, and the kind.
_counts: Counter[tuple[int, str]] = Counter()
_lock = threading.Lock()
_started = False


def note_request(status: int) -> None:
    """Count an answer."""
    if not _started:
        return
    hour = int(time.time()) // 3600
    with _lock:
        _counts[hour, "requests"] += 1
        if status >= 400:
            _counts[hour, "server_errors" if status >= 500 else "client_errors"] += 1


def start() -> None:
    """Count from now on, and write it down for as long as this process lives."""
    global _started  # noqa: PLW0603 - one thread a process
    _started = True
    threading.Thread(target=_run, name="activity", daemon=True).start()
    # Ends of workers run this; Python's atexit does not reach them.
    Finalize(None, _end, exitpriority=10)


def _run() -> None:
    while True:
        for _ in range(_EVERY_SECONDS):
            threading.Event().wait(1)
            metrics.keep()
        flush()


def _end() -> None:
    metrics.keep()
    flush()


def flush() -> None:
    """Write down what this process counted; what cannot be written is kept for the next time."""
    with _lock:
        taken = Counter(_counts)
        _counts.clear()
    try:
        for hour in sorted({hour for hour, _ in taken}):
            _write(hour, {kind: taken[hour, kind] for kind in KINDS if taken[hour, kind]})
            for kind in KINDS:
                del taken[hour, kind]
        slow.keep()
    except CoglexError as error:
        log.warning("activity_not_written", code=error.code)
        with _lock:
            _counts.update(taken)


def _write(number: int, counted: dict[str, int]) -> None:
    hour = datetime.fromtimestamp(number * 3600, UTC)
    change = {"$inc": counted, "$set": {"expires_at": hour + timedelta(days=_DAYS)}}
    hours.update({"_id": hour}, change, upsert=True)


def last_day() -> list[dict[str, Any]]:
    """``{"hour", "requests", "client_errors", "server_errors"}`` of the last 24 hours, in order."""
    this = now().replace(minute=0, second=0, microsecond=0)
    wanted = [this - timedelta(hours=back) for back in range(23, -1, -1)]
    found = {aware(each["_id"]): each for each in hours.find({"_id": {"$gte": wanted[0]}})}
    return [
        {"hour": hour, **{kind: found.get(hour, {}).get(kind, 0) for kind in KINDS}}
        for hour in wanted
    ]

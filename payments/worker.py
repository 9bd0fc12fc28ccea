"""Processing events outside of requests: a few threads of each server process.

``submit`` is called by the webhook view; the threads also look for what is due: failed events
whose time has come, and those whose process died.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

import structlog
from django.db import close_old_connections

from core.errors import CoglexError
from core.turns import waiting
from payments import events, stripe_api

log = structlog.get_logger("coglex.payments")

_THREADS = 4
_LOOK_EVERY_SECONDS = 2.0
_MOST_AWAITED_SECONDS = 2.0


class _Pool:
    """The threads of this process; made when the first event comes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def run(self, event_id: str) -> Future[bool]:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="payments")
            return self._threads.submit(_process, event_id)


_pool = _Pool()


def _process(event_id: str) -> bool:
    try:
        return events.process(event_id)
    except CoglexError as error:
        # It is in the ledger: it will be due again.
        log.warning("event_not_processed", event_id=event_id, code=error.code)
        return False
    finally:
        # What a receiver of the signals took; no request ends here.
        close_old_connections()


def submit(event_id: str) -> None:
    """Have an event processed; waits for a moment, as it mostly takes no longer."""
    running = _pool.run(event_id)
    with waiting():
        try:
            running.result(timeout=_MOST_AWAITED_SECONDS)
        except FutureTimeout:
            return


def start() -> None:
    """Look for events that are due, for as long as this process lives."""
    threading.Thread(target=_look, name="payments", daemon=True).start()


def _look() -> None:
    while True:
        threading.Event().wait(_LOOK_EVERY_SECONDS)
        process_due()


def process_due() -> None:
    """Process the events that are due, and wait for that."""
    if not stripe_api.is_configured():
        return
    try:
        for running in [_pool.run(event_id) for event_id in events.due()]:
            running.result()
    except CoglexError as error:
        log.warning("events_not_looked_at", code=error.code)


def _forget() -> None:
    """After a fork: the parent's threads are not here."""
    global _pool  # noqa: PLW0603
    _pool = _Pool()


os.register_at_fork(after_in_child=_forget)

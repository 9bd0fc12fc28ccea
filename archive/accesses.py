"""Who downloaded what: counted and logged in batches, so that no download waits for a write.

``note_download`` is called when a download begins. One thread of the process writes what has
gathered while it wrote the last batch. Entries of the log are ``{"_id", "file_id", "at",
"principal", "address", "user_agent", "request_id", "status", "range", "expires_at"}``.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from multiprocessing.util import Finalize
from typing import Any

import structlog
from django.conf import settings

from archive.records import accesses, files
from core import logs
from core.data.documents import new_key
from core.data.records import Record
from core.errors import CoglexError, DuplicateKey
from core.times import now, rfc3339

log = structlog.get_logger("coglex.archive")

# Beyond this many entries that cannot be written, the oldest are dropped.
MOST_HELD = 10_000
_PAUSE_SECONDS = 0.02
_RETRY_SECONDS = 1.0


def note_download(
    *, file_id: str, principal: str, status: int, range_: str | None, counts: bool
) -> None:
    """Log a download, and count it if ``counts``: a part further on belongs to one that did."""
    moment = now()
    context = logs.context()
    _writer.put(
        {
            "_id": new_key(),
            "file_id": file_id,
            "at": moment,
            "principal": principal,
            "address": context.get("address"),
            "user_agent": context.get("user_agent"),
            "request_id": context.get("request_id"),
            "status": status,
            "range": range_,
            "expires_at": moment + timedelta(days=settings.COGLEX_ARCHIVE_ACCESS_DAYS),
        },
        counts=counts,
    )


def flush() -> None:
    """Write what has gathered in this process."""
    _writer.write()


class _Writer:
    """What has gathered, and the thread that writes it."""

    def __init__(self) -> None:
        self._entries: list[Record] = []
        self._counts: Counter[str] = Counter()
        self._gathered = threading.Condition()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, entry: Record, *, counts: bool) -> None:
        with self._gathered:
            self._entries.append(entry)
            self._counts[entry["file_id"]] += counts
            self._bound()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="accesses", daemon=True)
                self._thread.start()
                # Ends of workers run this; Python's atexit does not reach them.
                Finalize(None, flush, exitpriority=10)
            self._gathered.notify()

    def _bound(self) -> None:
        if (more := len(self._entries) - MOST_HELD) > 0:
            log.error("accesses_dropped", count=more)
            del self._entries[:more]

    def _run(self) -> None:
        while True:
            with self._gathered:
                self._gathered.wait_for(lambda: bool(self._entries))
            failed = not self.write()
            threading.Event().wait(_RETRY_SECONDS if failed else _PAUSE_SECONDS)

    def write(self) -> bool:
        """Write all that is held; what fails is held on to. Whether it was written."""
        with self._writing:
            with self._gathered:
                entries, counts = self._entries, self._counts
                self._entries, self._counts = [], Counter()
            try:
                _write_entries(entries)
                entries = []
                _write_counts(counts)
            except CoglexError as error:
                log.warning("accesses_not_written", count=len(entries), code=error.code)
                with self._gathered:
                    self._entries = entries + self._entries
                    self._counts.update(counts)
                return False
        return True


def _write_entries(entries: list[Record]) -> None:
    if entries:
        # A former attempt may have written some before it failed.
        with suppress(DuplicateKey):
            accesses.insert_all(entries)


def _write_counts(counts: Counter[str]) -> None:
    """Count, file by file; what was counted is taken out, should a later one fail."""
    at = rfc3339(now())
    for file_id in list(counts):
        if counts[file_id]:
            change = {"$inc": {"downloads": counts[file_id]}, "$max": {"last_downloaded_at": at}}
            files.update({"_id": file_id}, change)
        del counts[file_id]


_writer = _Writer()


def _forget() -> None:
    """After a fork: what the parent holds is the parent's to write."""
    global _writer  # noqa: PLW0603
    _writer = _Writer()


os.register_at_fork(after_in_child=_forget)


def find(file_id: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """The latest entries of a file's access log, the newest first."""
    return accesses.find({"file_id": file_id}, order=[("at", -1), ("_id", -1)], limit=limit)

"""Turns: how many requests of a worker compute at once, so that waiting ones hold up nobody.

A worker has many more threads than turns. The WSGI entry takes a turn for each request; code that
only waits (for a password's hash, a slow client, another server) gives it back for that time. With
the turn goes the thread's connection to PostgreSQL, so that a worker needs about one for each turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

TURNS = 4


class Turnstile:
    """A semaphore that serves whoever came first; Python's lets late ones in before."""

    def __init__(self, free: int) -> None:
        self._lock = threading.Lock()
        self._free = free
        self._queue: deque[threading.Lock] = deque()

    def acquire(self) -> None:
        """Take a turn, after those who wait already."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Lock()
            mine.acquire()
            self._queue.append(mine)
        mine.acquire()

    def release(self) -> None:
        """Hand the turn to whoever waits longest."""
        with self._lock:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1


_turns = Turnstile(TURNS)
_mine = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """Compute with at most ``TURNS - 1`` others."""
    _turns.acquire()
    _mine.held = True
    try:
        yield
    finally:
        _leave()


def is_held() -> bool:
    """Whether this thread has a turn: it serves a request."""
    return getattr(_mine, "held", False)


@contextmanager
def waiting() -> Iterator[None]:
    """Give the turn to others while the body waits; without a turn, nothing."""
    if not is_held():
        yield
        return
    _leave()
    try:
        yield
    finally:
        _turns.acquire()
        _mine.held = True


def _leave() -> None:
    for connection in connections.all(initialized_only=True):
        # A transaction keeps its connection; SQLite has as many as there are threads.
        if connection.vendor == "postgresql" and not connection.in_atomic_block:
            connection.close()
    _mine.held = False
    _turns.release()

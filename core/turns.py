"""Turns: how many requests of a worker compute at once, so that waiting ones hold up nobody.

A worker has many more threads than turns. The WSGI entry takes a turn for each request; code that
only waits (for a password's hash, a slow client, another server) gives it back for that time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

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
        _mine.held = False
        _turns.release()


@contextmanager
def waiting() -> Iterator[None]:
    """Give the turn to others while the body waits; without a turn, nothing."""
    if not getattr(_mine, "held", False):
        yield
        return
    _mine.held = False
    _turns.release()
    try:
        yield
    finally:
        _turns.acquire()
        _mine.held = True

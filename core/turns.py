"""Turns: how many requests of a worker compute at once, so that waiting ones hold up nobody.

A worker has many more threads than turns. The WSGI entry takes a turn for each request; code that
only waits (for a password's hash, a slow client, another server) gives it back for that time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

TURNS = 4

_turns = threading.Semaphore(TURNS)
_mine = threading.local()


@contextmanager
def turn() -> Iterator[None]:
    """Compute with at most ``TURNS - 1`` others."""
    with _turns:
        _mine.held = True
        try:
            yield
        finally:
            _mine.held = False


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

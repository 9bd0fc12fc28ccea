"""Turns: one request of a worker computes at a time, so that waiting ones hold up nobody.

A worker has many more threads than turns. The WSGI entry takes a turn for each request; code that
only waits (for a password's hash, a slow client, another server) gives it back for that time, and a
turn that is held for long is lent to others. With the turn goes the thread's connection to
PostgreSQL, so that a worker needs about one for each turn.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core import connections

# More threads that compute only take Python's lock from each other, and who waits for that lock
# may wait for long.
TURNS = 1
# Whoever has waited so long comes next; before, whoever is just running may go on, which saves
# two switches between threads a request.
PATIENCE_SECONDS = 0.005
# A turn that is held for longer is lent to others.
LONG_SECONDS = 0.05


class _Waiter:
    __slots__ = ("has_turn", "lock", "since")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.since = time.monotonic()
        self.has_turn = False


class Turnstile:
    """A semaphore that lets late ones in before, but nobody wait for long: to hand each turn to
    whoever came first costs a quarter of all requests a second."""

    def __init__(self, free: int) -> None:
        self._lock = threading.Lock()
        self._free = free
        self._queue: deque[_Waiter] = deque()
        self._urgent: deque[_Waiter] = deque()
        # Set while somebody waits, and a little longer.
        self.wanted = threading.Event()

    def acquire(self, *, urgent: bool = False) -> None:
        """Take a turn; the ``urgent`` come next, in their order: they are half done."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = _Waiter()
            (self._urgent if urgent else self._queue).append(mine)
            self._want()
        while True:
            mine.lock.acquire()
            if mine.has_turn:
                return
            with self._lock:
                if self._free:
                    self._free -= 1
                    return
                self._queue.appendleft(mine)
                self._want()

    def _want(self) -> None:
        # Else whoever looks after it would be woken each time.
        if not self.wanted.is_set():
            self.wanted.set()

    def rest(self) -> None:
        """Want nothing unless somebody waits."""
        with self._lock:
            if not self._queue and not self._urgent:
                self.wanted.clear()

    def release(self) -> None:
        """Give a turn back: to an urgent one, or to whoever waits longest, if that is long."""
        with self._lock:
            if self._urgent:
                next_ = self._urgent.popleft()
                next_.has_turn = True
            elif self._queue:
                next_ = self._queue.popleft()
                next_.has_turn = time.monotonic() - next_.since > PATIENCE_SECONDS
            else:
                self._free += 1
                return
            if not next_.has_turn:
                self._free += 1
        next_.lock.release()


class _Held:
    """A turn that a thread has, since when, and whether another has got it meanwhile."""

    __slots__ = ("is_lent", "since")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.is_lent = False


class _Mine(threading.local):
    turn: _Held | None = None


_turns = Turnstile(TURNS)
_mine = _Mine()
_held: set[_Held] = set()
_lending = threading.Lock()


class _Turn:
    """Context manager without the cost of a generator: it stands around every request."""

    def __enter__(self) -> None:
        _enter()

    def __exit__(self, *_: object) -> None:
        _leave()


_turn = _Turn()


def turn() -> _Turn:
    """Compute in the block, with at most ``TURNS`` at once."""
    return _turn


def is_held() -> bool:
    """Whether this thread has a turn: it serves a request."""
    return _mine.turn is not None


@contextmanager
def waiting() -> Iterator[None]:
    """Give the turn to others while the body waits; without a turn, nothing."""
    left = leave()
    try:
        yield
    finally:
        if left:
            come_back()


def leave() -> bool:
    """``waiting`` without its block: give the turn to others until ``come_back``.

    Whether there was one.
    """
    if not is_held():
        return False
    _leave()
    return True


def come_back() -> None:
    """Take a turn again."""
    _enter(urgent=True)


def _enter(*, urgent: bool = False) -> None:
    _turns.acquire(urgent=urgent)
    _mine.turn = held = _Held()
    with _lending:
        _held.add(held)


def _leave() -> None:
    connections.give_back()
    held, _mine.turn = _mine.turn, None
    if held is not None:
        with _lending:
            _held.discard(held)
        if not held.is_lent:
            _turns.release()


def lend() -> None:
    """Give others the turns that have been held for long."""
    late = time.monotonic() - LONG_SECONDS
    with _lending:
        found = [held for held in _held if held.since < late and not held.is_lent]
        for held in found:
            held.is_lent = True
    for _ in found:
        _turns.release()


def start() -> None:
    """Lend turns for as long as this process lives."""
    threading.Thread(target=_run, name="turns", daemon=True).start()


def _run() -> None:
    while True:
        lend_to_who_waits()


def lend_to_who_waits() -> None:
    """Once somebody waits for a turn, and a while later, lend those that are held for long.

    Nobody needs one that nobody waits for: an idle server sleeps.
    """
    _turns.wanted.wait()
    time.sleep(LONG_SECONDS)
    lend()
    _turns.rest()

"""Outages of other servers: while one does not answer, a single thread at a time waits for it.

The others are told at once, so that whoever does not need that server is served meanwhile. There
is no pause: the thread that finds the server back ends the outage for all. Called by the
connections to PostgreSQL and Redis.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Outage:
    """Whether a server is out; ``refusal`` makes what others are told while it is."""

    def __init__(self, refusal: Callable[[], Exception]) -> None:
        self._refusal = refusal
        self._is_on = False
        self._trying = threading.Lock()

    @contextmanager
    def watch(self, *signs: type[Exception]) -> Iterator[None]:
        """Ask the server in the body; ``signs`` are what is raised where it does not answer."""
        if not self._is_on:
            with self._noted(signs):
                yield
            return
        if not self._trying.acquire(blocking=False):
            raise self._refusal()
        try:
            with self._noted(signs):
                yield
        finally:
            self._trying.release()

    @contextmanager
    def _noted(self, signs: tuple[type[Exception], ...]) -> Iterator[None]:
        try:
            yield
        except signs:
            self._is_on = True
            raise
        self._is_on = False

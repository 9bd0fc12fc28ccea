"""Connections to SQL of threads that serve API requests; called by the WSGI entry and by turns.

Django looks after them at the beginning and the end of each request. Few API requests use SQL, so
that here only the threads that did look: those whose connections come from a pool give them back
at once, others see each second whether theirs is broken, or too old.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from django.db import close_old_connections, connections
from django.db.backends.signals import connection_created
from django.dispatch import receiver

_EVERY_SECONDS = 1.0
_NEVER, _AT_ONCE = float("inf"), 0.0


class _Looks(threading.local):
    """When this thread looks next; never, until it has a connection."""

    next = _NEVER


_looks = _Looks()


@receiver(connection_created)
def _connected(sender: object, connection: Any, **_: Any) -> None:
    kept = connection.settings_dict["CONN_MAX_AGE"] != 0
    _looks.next = monotonic() + _EVERY_SECONDS if kept else _AT_ONCE


def give_back() -> None:
    """Give this thread's connections back to their pools, unless a transaction needs them."""
    if _looks.next != _AT_ONCE:
        return
    for each in connections.all(initialized_only=True):
        if each.settings_dict["CONN_MAX_AGE"] == 0 and not each.in_atomic_block:
            each.close()


def refresh() -> None:
    """Close this thread's connections that should not be used any more."""
    if monotonic() < _looks.next:
        return
    close_old_connections()
    open_ = any(each.connection is not None for each in connections.all(initialized_only=True))
    _looks.next = monotonic() + _EVERY_SECONDS if open_ else _NEVER

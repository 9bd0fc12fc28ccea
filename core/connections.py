"""Connections to SQL of threads that serve API requests; called by the WSGI entry.

Django looks after them at the beginning and the end of each request. Few API requests use SQL, so
that here each thread looks every second: what is broken, or too old, is closed.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import Any

from django.db import close_old_connections
from django.db.backends.signals import connection_created
from django.dispatch import receiver

_EVERY_SECONDS = 1.0


class _Looked(threading.local):
    """When this thread looks next; never, until it has a connection."""

    next = float("inf")


_looked = _Looked()


@receiver(connection_created)
def _connected(sender: object, **_: Any) -> None:
    _looked.next = monotonic() + _EVERY_SECONDS


def refresh() -> None:
    """Close this thread's connections that should not be used any more."""
    if monotonic() >= _looked.next:
        close_old_connections()
        _looked.next = monotonic() + _EVERY_SECONDS

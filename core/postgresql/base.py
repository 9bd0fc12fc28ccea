"""Django's database backend for PostgreSQL, with few connections for many threads.

A worker has 64 threads, and PostgreSQL 100 connections by default. A thread has a connection from
its first query until its request ends or waits (core.turns), so that a worker uses about as many
as it has turns. psycopg's own pool makes requests wait while PostgreSQL is down, and tries again
ever more rarely; here they hear at once, and the first request after it has come back is served.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import psycopg
from django.conf import settings
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from psycopg import errors
from psycopg.pq import TransactionStatus

from core import turns
from core.outages import Outage

# Kept open while nobody uses them; more are closed when they are given back.
KEPT = 4


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up, and ends, when a request waits too long for an answer.

    The server's own limit does not help where the server, or its machine, stands still. Commands
    wait: a migration may take its time.
    """

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if timeout is None and turns.is_held():
            timeout = settings.COGLEX_QUERY_TIMEOUT_MS / 1000
        try:
            return super().wait(gen, interval, timeout)
        except errors._WaitTimeout as error:  # noqa: SLF001 - it has no other name
            self.close()
            raise psycopg.OperationalError("PostgreSQL took too long to answer") from error


class Pool:
    """What Django expects of a pool: connections to one database that no thread has just now."""

    def __init__(self, wrapper: Any) -> None:
        self._params = {**wrapper.get_connection_params(), "autocommit": True}
        self._configure = wrapper._configure_connection  # noqa: SLF001 - Django's own pool does so
        self._lock = threading.Lock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._outage = Outage(_refusal)

    def open(self) -> None:
        """Connections are opened when they are needed."""

    def getconn(self) -> psycopg.Connection[Any]:
        """A connection that works; raises psycopg.OperationalError."""
        with self._outage.watch(psycopg.OperationalError):
            if connection := self._taken():
                if _works(connection):
                    return connection
                connection.close()
                # What ended this one has ended the others too.
                self.close()
            return self._connected()

    def _taken(self) -> psycopg.Connection[Any] | None:
        with self._lock:
            # The last one given back: those that are not needed grow old and are closed.
            return self._idle.pop() if self._idle else None

    def _connected(self) -> psycopg.Connection[Any]:
        made = _Connection.connect(**self._params)
        made._pool = self  # noqa: SLF001 - Django gives it back there
        self._configure(made)
        return made

    def putconn(self, connection: psycopg.Connection[Any]) -> None:
        """Take a connection back, to keep or to close."""
        if connection.info.transaction_status == TransactionStatus.IDLE:
            connection.autocommit = True
            with self._lock:
                if len(self._idle) < KEPT:
                    self._idle.append(connection)
                    return
        connection.close()

    def close(self) -> None:
        """Close what nobody has."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _refusal() -> psycopg.OperationalError:
    return psycopg.OperationalError("PostgreSQL did not answer a moment ago")


def _works(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


_pools: dict[tuple[Any, ...], Pool] = {}
# After a fork the connections are the parent's to use; psycopg closes none of another process.
os.register_at_fork(after_in_child=_pools.clear)


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, whose connections come from the process's pool."""

    def _pool_key(self) -> tuple[Any, ...]:
        return tuple(self.settings_dict[name] for name in ("HOST", "PORT", "USER", "NAME"))

    @property
    def pool(self) -> Pool | None:
        if self.alias == NO_DB_ALIAS:
            return None
        key = self._pool_key()
        return _pools.get(key) or _pools.setdefault(key, Pool(self))

    def close_pool(self) -> None:
        if pool := _pools.pop(self._pool_key(), None):
            pool.close()

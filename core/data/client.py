"""The connection to MongoDB: one lazy client a process, two databases, ambient transactions.

Called by the data layer's own modules and, for ``internal``, by core's records of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from bson.codec_options import CodecOptions, DatetimeConversion
from django.conf import settings
from pymongo import MongoClient, timeout
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError

from core import metrics
from core.data import embedded
from core.data.failures import translated
from core.errors import CoglexError
from core.turns import waiting

Document = dict[str, Any]
Result = TypeVar("Result")

# Dates that Python cannot hold, and text that is not UTF-8, come from other programs: they must
# not make a document unreadable.
CODEC: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
_session: ContextVar[ClientSession | None] = ContextVar("coglex_session", default=None)
_lock = threading.Lock()
_client: MongoClient[Document] | None = None
_collections: dict[tuple[bool, str], Collection[Document]] = {}


def client() -> MongoClient[Document]:
    """This process's client, connected on first use."""
    return _client or _connect()


def _connect() -> MongoClient[Document]:
    global _client  # noqa: PLW0603 - one client a process is the point
    with _lock:
        if _client is None:
            uri = settings.MONGODB_URI or embedded.attach(settings.DATA_DIR)
            _client = MongoClient(
                uri,
                appname="coglex",
                connect=False,
                timeoutMS=settings.COGLEX_QUERY_TIMEOUT_MS,
                serverSelectionTimeoutMS=min(3000, settings.COGLEX_QUERY_TIMEOUT_MS),
                w="majority",
                journal=True,
                retryWrites=True,
                retryReads=True,
            )
            metrics.watch_connections(_connections)
        return _client


def _connections() -> dict[str, int]:
    """How many connections to the database are ``open``, and how many of these ``in_use``.

    A listener of the driver would be told of each use, at a tenth of the cost of a whole read.
    """
    servers: Any = _client._topology._servers if _client else {}  # noqa: SLF001 - no other place
    pools = [server.pool for server in list(servers.values())]
    in_use = sum(pool.active_sockets for pool in pools)
    return {"open": in_use + sum(len(pool.conns) for pool in pools), "in_use": in_use}


def close() -> None:
    """Close this process's client; the next use connects again."""
    global _client  # noqa: PLW0603
    with _lock:
        if _client is not None:
            _client.close()
        _client = None
        _collections.clear()


def _forget() -> None:
    """After a fork: the parent's sockets and threads are not ours to use or close."""
    global _client, _lock
    _client, _lock = None, threading.Lock()
    _collections.clear()


os.register_at_fork(after_in_child=_forget)


def documents_database() -> Database[Document]:
    """The database of clients' documents."""
    return client().get_database(settings.MONGODB_DATABASE, codec_options=CODEC)


def internal_database() -> Database[Document]:
    """The database of everything else; no storage request can name it."""
    return client().get_database(f"{settings.MONGODB_DATABASE}_internal", codec_options=CODEC)


def documents(name: str) -> Collection[Document]:
    """A collection of clients' documents, by its checked name."""
    found = _collections.get((False, name))
    return _remember(False, name) if found is None else found  # noqa: FBT003


def internal(name: str) -> Collection[Document]:
    """A collection of internal records."""
    found = _collections.get((True, name))
    return _remember(True, name) if found is None else found  # noqa: FBT003


def _remember(is_internal: bool, name: str) -> Collection[Document]:
    collection = (internal_database() if is_internal else documents_database())[name]
    if len(_collections) < 1000:
        _collections[is_internal, name] = collection
    return collection


def session() -> ClientSession | None:
    """The transaction this call runs in, to be given to every operation of the driver."""
    return _session.get()


def in_transaction(work: Callable[[], Result]) -> Result:
    """Run ``work`` in one transaction, all or nothing; inside another it joins that one.

    ``work`` may run several times: MongoDB asks for that when transactions collide. Raises
    TransactionsUnavailable when MongoDB is a standalone, and whatever ``work`` raises.
    """
    if _session.get() is not None:
        return work()
    limit = settings.COGLEX_QUERY_TIMEOUT_MS / 1000
    with translated(), waiting(), timeout(limit), client().start_session() as started:
        return started.with_transaction(lambda current: _attempt(work, current))


def _attempt(work: Callable[[], Result], current: ClientSession) -> Result:
    token = _session.set(current)
    try:
        return work()
    except CoglexError as error:
        # What ends one attempt but not the transaction is the driver's to see: it tries again.
        if isinstance(cause := error.__cause__, PyMongoError) and cause.has_error_label(
            "TransientTransactionError"
        ):
            raise cause from None
        raise
    finally:
        _session.reset(token)


def ping() -> None:
    """Raise DatabaseUnavailable unless MongoDB answers."""
    with translated():
        client().admin.command("ping")

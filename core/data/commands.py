"""One read at the least cost that the driver allows: a command on a connection of its pool.

``Database.command`` and cursors prepare for sessions, retries and further batches, which takes
twice as long as the read itself. The driver's inner parts that are used instead may change with
its version, which requirements.txt fixes; a test compares both ways.
"""

from __future__ import annotations

from typing import Any

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from pymongo import timeout
from pymongo.database import Database
from pymongo.errors import AutoReconnect, NetworkTimeout
from pymongo.read_preferences import ReadPreference

from core.data.client import session

Raw = RawBSONDocument
_RAW: CodecOptions[Raw] = CodecOptions(document_class=RawBSONDocument)


def read_command(database: Database[Any], command: dict[str, Any]) -> Raw:
    """The answer to a command that only reads, in the transaction that is under way, if one is.

    It is tried once more where the connection breaks, as the driver does with reads of its own.
    """
    if (current := session()) is not None:
        return database.command(command, codec_options=_RAW, session=current)
    with timeout(settings.COGLEX_QUERY_TIMEOUT_MS / 1000):
        try:
            return _send(database, command)
        except NetworkTimeout:
            raise
        except AutoReconnect:
            return _send(database, command)


def _send(database: Database[Any], command: dict[str, Any]) -> Raw:
    pool: Any = database.client
    with pool._conn_for_reads(  # noqa: SLF001 - see above
        ReadPreference.PRIMARY, None, operation="find"
    ) as (connection, preference):
        answer: Raw = connection.command(database.name, command, preference, _RAW)
    return answer


def first_of(answer: Raw) -> Raw | None:
    """The first document of what a find has found."""
    found: Raw | None = next(iter(answer["cursor"]["firstBatch"]), None)
    return found

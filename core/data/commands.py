"""One read at the least cost that the driver allows: a command on a connection of its pool.

``Database.command`` and cursors prepare for sessions, retries and further batches, which takes
twice as long as the read itself. The driver's inner parts that are used instead may change with
its version, which requirements.txt fixes; a test compares both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from pymongo import timeout
from pymongo.database import Database
from pymongo.errors import AutoReconnect, NetworkTimeout

from core.data.client import session

Found = TypeVar("Found", bound=Mapping[str, Any])

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
# What of the answer is decoded by the caller's codec: the documents.
_DOCUMENTS = {"cursor": {"firstBatch": 1}}


def read_batch(
    database: Database[Any], command: dict[str, Any], codec: CodecOptions[Found]
) -> list[Found] | None:
    """The documents that a find command finds, when they come in one batch; else None.

    It joins the transaction that is under way. It is tried once more where the connection breaks,
    as the driver does with reads of its own.
    """
    if (current := session()) is not None:
        cursor = database.command(command, codec_options=codec, session=current)["cursor"]
    else:
        with timeout(settings.COGLEX_QUERY_TIMEOUT_MS / 1000):
            try:
                cursor = _send(database, command, codec)
            except NetworkTimeout:
                raise
            except AutoReconnect:
                cursor = _send(database, command, codec)
    if cursor["id"]:
        rest = {"killCursors": command["find"], "cursors": [cursor["id"]]}
        database.command(rest, session=current)
        return None
    return list(cursor["firstBatch"])


def _send(database: Database[Any], command: dict[str, Any], codec: CodecOptions[Found]) -> Any:
    pool: Any = database.client
    with pool._conn_for_reads(  # noqa: SLF001 - see above
        database.read_preference, None, operation="find"
    ) as (connection, preference):
        answer = connection.command(
            database.name,
            command,
            preference,
            codec,
            read_concern=database.read_concern,
            user_fields=_DOCUMENTS,
        )
    return answer["cursor"]

"""Reads and writes at the least cost that the driver allows.

``Database.command``, cursors and ``insert_one`` prepare for much that these do not need, which
takes longer than the work itself. Here a command goes over a connection of the driver's pool as it
is. The driver still chooses the server, keeps the connections, notices outages, numbers writes and
tries them again. Its inner parts that are used for that may change with its version, which
requirements.txt fixes; tests compare both ways.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from pymongo import timeout
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConnectionFailure,
    NetworkTimeout,
    PyMongoError,
)
from pymongo.helpers_shared import _check_command_response, _check_write_command_response
from pymongo.message import _COMMAND_OVERHEAD, _op_msg, _raise_document_too_large
from pymongo.mongo_client_shared import _add_retryable_write_error
from pymongo.write_concern import WriteConcern

from core import turns
from core.data.client import CODEC, Document, session

_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
# Length, id, id of what is answered, kind of message; flags, kind of section; then the document.
# Source: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
_HEAD = struct.Struct("<iiiiIB")
_OP_MSG, _DOCUMENT = 2013, 0
# So long an answer is waited for before others may compute.
_SOON_SECONDS = 0.005
# Most answers come in one piece.
_FIRST_READ, _NEXT_READ = 16 * 1024, 1024 * 1024
# What an answer to a find begins with, up to its first document.
_CURSOR, _BATCH, _FIRST = b"\x03cursor\0", b"\x04firstBatch\0", b"\x030\0"


def find_one(
    source: Collection[Any], chosen: Document, fields: Document | None = None
) -> bytes | None:
    """The BSON of the one document that is chosen, or of some of its fields.

    It joins the transaction that is under way. It is tried once more where the connection breaks,
    as the driver does with reads of its own.
    """
    command: Document = {"find": source.name, "filter": chosen, "limit": 1, "singleBatch": True}
    if fields:
        command["projection"] = fields
    database = source.database
    if session() is None:
        answer = _read(database, command)
        if answer[4:12] == _CURSOR and answer[16:28] == _BATCH:
            end = 35 + int.from_bytes(answer[35:39], "little")
            return answer[35:end] if answer[32:35] == _FIRST else None
        cursor = bson.decode(answer, _RAW)["cursor"]
    else:
        cursor = database.command(command, codec_options=_RAW, session=session())["cursor"]
    return bytes(cursor["firstBatch"][0].raw) if cursor["firstBatch"] else None


def find_batch(database: Database[Any], command: Document) -> list[Document] | None:
    """The documents that a find command finds, when they come in one batch; else None."""
    if session() is not None:
        cursor = database.command(command, codec_options=CODEC, session=session())["cursor"]
    else:
        cursor = bson.decode(_read(database, command), CODEC)["cursor"]
    if cursor["id"]:
        rest = {"killCursors": command["find"], "cursors": [cursor["id"]]}
        database.command(rest, session=session())
        return None
    found: list[Document] = cursor["firstBatch"]
    return found


def insert_one(source: Collection[Any], document: Document) -> None:
    """Insert a document, which has its ``_id``."""
    write_one(source.database, {"insert": source.name, "documents": [document]})


def update_one(source: Collection[Any], update: Document) -> Document:
    """What MongoDB answers to an update of one document: ``n``, ``nModified``, ``upserted``.

    ``update`` is as it takes it: ``{"q": filter, "u": update or document, "upsert": …}``.
    """
    return write_one(source.database, {"update": source.name, "updates": [update]})


def write_one(
    database: Database[Any], command: Document, concern: WriteConcern | None = None
) -> Document:
    """MongoDB's answer to a command that writes one document.

    It joins the transaction that is under way. Else it is durable, unless ``concern`` asks for
    less, and tried once more, without being done twice, where the connection breaks or another
    server takes over.
    """
    if session() is not None:
        joined = database.command(command, codec_options=CODEC, session=session())
        _check_write_command_response(joined)
        return joined
    client: Any = database.client
    topology = client._topology  # noqa: SLF001 - see above
    with timeout(settings.COGLEX_QUERY_TIMEOUT_MS / 1000):
        # Under one number of one session a server does a write once, however often it is asked.
        numbers = topology.get_server_session(topology.description.logical_session_timeout_minutes)
        numbers.inc_transaction_id()
        numbered = {
            **command,
            "writeConcern": (concern or database.write_concern).document,
            "lsid": numbers.session_id,
            "txnNumber": numbers.transaction_id,
        }
        try:
            return _write_once(database, numbered)
        except PyMongoError as error:
            _add_retryable_write_error(error)
            if not error.has_error_label("RetryableWriteError"):
                raise
            if isinstance(error, ConnectionFailure):
                numbers.mark_dirty()
            return _write_once(database, numbered)
        finally:
            numbers.last_use = monotonic()
            topology.return_server_session(numbers)


def insert_at_once(source: Collection[Any], new: Sequence[Document]) -> None:
    """Insert documents, which have their ``_id``s, as the first of the transaction under way.

    ``insert_many`` looks at each of them once more, and splits what this raises DocumentTooLarge
    for: more than fits into one message.
    """
    command = {"insert": source.name, "documents": list(new)}
    answer = source.database.command(command, codec_options=CODEC, session=session())
    if errors := answer.get("writeErrors"):
        raise BulkWriteError({"writeErrors": errors})
    _check_write_command_response(answer)


def _write_once(database: Database[Any], command: Document) -> Document:
    client: Any = database.client
    with client._conn_for_writes(None, next(iter(command))) as connection:  # noqa: SLF001
        if not (connection.is_repl or connection.is_mongos):
            # A server of its own knows no such numbers.
            command = {name: value for name, value in command.items() if name != "txnNumber"}
        answer: Document = bson.decode(_exchange(connection, database.name, command), CODEC)
        _check_command_response(answer, connection.max_wire_version)
        _check_write_command_response(answer)
        return answer


def _read(database: Database[Any], command: Document) -> bytes:
    with timeout(settings.COGLEX_QUERY_TIMEOUT_MS / 1000):
        try:
            return _read_once(database, command)
        except NetworkTimeout:
            raise
        except AutoReconnect:
            return _read_once(database, command)


def _read_once(database: Database[Any], command: Document) -> bytes:
    client: Any = database.client
    with client._conn_for_reads(  # noqa: SLF001 - see above
        database.read_preference, None, operation="find"
    ) as (connection, _):
        answer = _exchange(connection, database.name, command)
        if answer[4:12] != _CURSOR:
            _check_command_response(bson.decode(answer, CODEC), connection.max_wire_version)
        return answer


def _exchange(connection: Any, database: str, command: Document) -> bytes:
    """The BSON of the answer to a command; the caller looks whether that was done."""
    left = connection.apply_timeout(command)
    compression = connection.compression_context
    number, message, size, _ = _op_msg(0, command, database, None, CODEC, ctx=compression)
    # As the driver has it: a document of the largest size, and the command around it.
    if size > (most := connection.max_bson_size + _COMMAND_OVERHEAD):
        _raise_document_too_large(next(iter(command)), size, most)
    connection.send_message(message, 0)
    if compression:
        answer: bytes = connection.receive_message(number).raw_command_response()
    else:
        try:
            answer = _receive(connection.conn.get_conn, number, left)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the connection is of no use
            connection._raise_connection_failure(error)  # noqa: SLF001
    return answer


def _receive(sock: Any, number: int, seconds: float) -> bytes:
    """The document of the next message, which has to be the answer to the one of this number."""
    read = _first(sock, seconds)
    while len(read) < _HEAD.size:
        sock.settimeout(seconds)
        read += _more(sock, _HEAD.size - len(read))
    length, _, answered, kind, flags, section = _HEAD.unpack_from(read)
    if (answered, kind, flags, section) != (number, _OP_MSG, 0, _DOCUMENT):
        raise OSError("not the answer that was expected")
    if len(read) < length:
        sock.settimeout(seconds)
        pieces = [read]
        missing = length - len(read)
        while missing:
            pieces.append(_more(sock, min(missing, _NEXT_READ)))
            missing -= len(pieces[-1])
        read = b"".join(pieces)
    return read[_HEAD.size :]


def _first(sock: Any, seconds: float) -> bytes:
    """The beginning of an answer; one that takes long is waited for without a turn."""
    if turns.is_held():
        sock.settimeout(min(_SOON_SECONDS, seconds))
        with suppress(TimeoutError):
            return _more(sock, _FIRST_READ)
    with turns.waiting():
        sock.settimeout(seconds)
        return _more(sock, _FIRST_READ)


def _more(sock: Any, most: int) -> bytes:
    more: bytes = sock.recv(most)
    if not more:
        raise OSError("the connection was closed")
    return more

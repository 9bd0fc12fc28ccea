"""Reading and writing clients' documents; every driver call of the storage service is here.

Called by ``storage.services`` with names, keys and specifications that were checked and compiled.
All functions raise DatabaseUnavailable, QueryTimeout, and InvalidQuery for what only the database
finds out; ``keys`` are the spellings of one key, likeliest first (``names.keys_spelled``).
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count as count_from
from time import time
from typing import Any, TypeVar

import bson
from pymongo.collection import Collection

from core.data import pages
from core.data.client import CODEC, Document, documents, documents_database, in_transaction, session
from core.data.commands import find_one, insert_at_once, insert_one, update_one, write_one
from core.data.compiler import Update
from core.data.failures import translated
from core.data.monitoring import operation, selection
from core.data.names import check_collection
from core.data.pages import Listing, Query, bounded
from core.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    DuplicateKey,
    InvalidCollection,
    InvalidQuery,
    PreconditionFailed,
    below,
)

Filter = dict[str, Any]
Projection = dict[str, int]
Written = TypeVar("Written")

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
# A comparison with the whole stored document has to fit into one command beside the update.
_MAX_COMPARED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A stored document and the digest of its bytes, in the form of a strong ETag."""

    document: Document
    etag: str
    size: int


class _Keys:
    """What keys of this process have, and nothing else counts along."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, as another process."""
        self.process = os.urandom(5).hex()
        self.counter = count_from(int.from_bytes(os.urandom(3)))


_keys = _Keys()
os.register_at_fork(after_in_child=_keys.renew)


def new_key() -> str:
    """A key as Coglex generates them: 24 hex digits that grow with time.

    Seconds, process and counter, as in the driver's ``ObjectId``, at a quarter of its cost.
    """
    return f"{int(time()):08x}{_keys.process}{next(_keys.counter) & 0xFFFFFF:06x}"


def etag_of(raw: bytes) -> str:
    """The strong ETag of a document's BSON."""
    return f'"{urlsafe_b64encode(sha256(raw).digest()[:18]).decode()}"'


def list_page(collection: str, asked: Query) -> Listing:
    """The page of documents that is asked for."""
    return pages.list_page(documents(collection), asked)


def count(collection: str, query: object = None) -> int:
    """How many documents match a client's query."""
    return pages.count_matching(documents(collection), query)


def list_collections() -> list[str]:
    """The names of the collections that a request can name."""
    with translated():
        names = documents_database().list_collection_names(session=session())
    return sorted(name for name in names if _is_collection(name))


def _is_collection(name: str) -> bool:
    try:
        check_collection(name)
    except InvalidCollection:
        return False
    return True


def get(collection: str, keys: Sequence[object], projection: Projection | None = None) -> Found:
    """The document with this key, of the likeliest spelling; raises DocumentNotFound."""
    for key in keys:
        if raw := _stored(collection, key, projection):
            with translated():
                return Found(bson.decode(raw, CODEC), etag_of(raw), len(raw))
    raise DocumentNotFound


def _stored(collection: str, key: object, projection: Projection | None) -> bytes | None:
    """The bytes of a document."""
    chosen = {"_id": key}
    source = documents(collection)
    with operation("find", source, chosen):
        return find_one(source, chosen, projection)


def encode_checked(document: Document) -> bytes:
    """The document's BSON; raises DocumentTooLarge over 16 MiB."""
    with translated():
        raw: bytes = bson.encode(document, codec_options=CODEC)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise DocumentTooLarge
    return raw


def insert(collection: str, document: Document) -> None:
    """Insert one document, which has its ``_id``; raises DuplicateKey."""
    source = documents(collection)
    with operation("insert", source):
        insert_one(source, document)


def insert_all(collection: str, new: Sequence[Document]) -> None:
    """Insert documents, which have their ``_id``s, all or none.

    Raises DuplicateKey, DocumentTooLarge and InvalidDocument.
    """
    if len(new) == 1:
        with below("/0"):
            insert(collection, new[0])
        return

    source = documents(collection)

    def insert_split() -> None:
        with operation("insert", source):
            source.insert_many(new, session=session())

    def insert_together() -> None:
        with operation("insert", source):
            insert_at_once(source, new)

    try:
        if session() is None:
            with suppress(DocumentTooLarge):
                in_transaction(insert_together)
                return
        in_transaction(insert_split)
    except InvalidQuery:
        # MongoDB calls a document that is a little too large a bad value.
        for document in new:
            encode_checked(document)
        raise


def create(collection: str, keys: Sequence[object], document: Document) -> Document:
    """Insert under a key that must be free in all its spellings; else PreconditionFailed."""
    stored = {"_id": keys[0], **document}
    source = documents(collection)
    chosen: Filter = {"_id": {"$in": list(keys)}}
    if len(keys) > 1:
        with operation("find", source, chosen):
            taken = source.find_one(chosen, {"_id": 1}, session=session())
        if taken:
            raise PreconditionFailed("There is a document with this key already.")
    try:
        insert(collection, stored)
    except DuplicateKey as error:
        if any(field.pointer == "/_id" for field in error.errors):
            raise PreconditionFailed("There is a document with this key already.") from None
        raise
    return stored


def replace(
    collection: str,
    keys: Sequence[object],
    document: Document,
    *,
    if_match: frozenset[str] | None = None,
) -> Document:
    """Replace the document with this key; returns it as stored. Raises as ``update`` does."""

    source = documents(collection)

    def write(chosen: Filter) -> Document | None:
        stored = {"_id": chosen["_id"], **document}
        return stored if _update(source, {"q": chosen, "u": stored})["n"] else None

    return _write(collection, keys, if_match, write)


def replace_or_create(
    collection: str, keys: Sequence[object], document: Document
) -> tuple[Document, bool]:
    """Replace the document with this key, or create it as the likeliest spelling.

    Returns it as stored, and whether it was created.
    """
    if len(keys) > 1:
        try:
            return replace(collection, keys, document), False
        except DocumentNotFound:
            pass
    stored = {"_id": keys[0], **document}
    source, chosen = documents(collection), {"_id": keys[0]}
    done = _update(source, {"q": chosen, "u": stored, "upsert": True})
    return stored, "upserted" in done


def update(
    collection: str,
    keys: Sequence[object],
    change: Update,
    *,
    if_match: frozenset[str] | None = None,
) -> int:
    """Update the document with this key; returns 1 if that modified it, else 0.

    Raises DocumentNotFound, and PreconditionFailed when ``if_match`` names neither ``*`` nor the
    ETag of the stored document at the moment of the write.
    """

    source = documents(collection)

    def write(chosen: Filter) -> int | None:
        update: Document = {"q": chosen, "u": change.update}
        if change.array_filters:
            update["arrayFilters"] = change.array_filters
        done = _update(source, update)
        return done["nModified"] if done["n"] else None

    return _write(collection, keys, if_match, write)


def _update(source: Collection[Document], update: Document) -> Document:
    """``update_one``, timed."""
    with operation("update", source, update["q"]):
        return update_one(source, update)


def delete(
    collection: str, keys: Sequence[object], *, if_match: frozenset[str] | None = None
) -> None:
    """Delete the document with this key. Raises as ``update`` does."""

    source = documents(collection)

    def write(chosen: Filter) -> bool | None:
        delete = {"q": chosen, "limit": 1}
        with operation("delete", source, chosen):
            done = write_one(source.database, {"delete": collection, "deletes": [delete]})
        return done["n"] > 0 or None

    _write(collection, keys, if_match, write)


def _write(
    collection: str,
    keys: Sequence[object],
    if_match: frozenset[str] | None,
    write: Callable[[Filter], Written | None],
) -> Written:
    """Let ``write`` change the one document that is meant; it returns None where none matched."""
    if if_match is not None and "*" not in if_match:
        return _write_unchanged(collection, keys, if_match, write)
    for key in keys:
        if (written := write({"_id": key})) is not None:
            return written
    raise DocumentNotFound


def _write_unchanged(
    collection: str,
    keys: Sequence[object],
    if_match: frozenset[str],
    write: Callable[[Filter], Written | None],
) -> Written:
    """As ``_write``, but only what is stored with one of these ETags at the moment of the write."""

    def compare_and_write() -> Written:
        found = get(collection, keys)
        if found.etag not in if_match:
            raise PreconditionFailed
        seen = found.document
        chosen: Filter = {"_id": seen["_id"]}
        if found.size <= _MAX_COMPARED_BYTES:
            chosen["$expr"] = {"$eq": ["$$ROOT", {"$literal": seen}]}
        elif session() is None:
            # Too large to be sent along: a transaction's snapshot sees a change as a collision.
            return in_transaction(compare_and_write)
        written = write(chosen)
        if written is None:
            raise PreconditionFailed
        return written

    return compare_and_write()


def update_all(collection: str, filter: Filter, change: Update) -> tuple[int, int]:  # noqa: A002
    """Update what matches, all or none; returns how many matched and how many were modified."""

    source = documents(collection)

    def work() -> tuple[int, int]:
        with operation("update", source, filter):
            result = source.update_many(
                filter, change.update, array_filters=change.array_filters, session=session()
            )
        return result.matched_count, result.modified_count

    return in_transaction(work)


def delete_all(collection: str, filter: Filter) -> int:  # noqa: A002
    """Delete what matches, all or none; returns how many."""

    source = documents(collection)

    def work() -> int:
        with operation("delete", source, filter):
            return source.delete_many(filter, session=session()).deleted_count

    return in_transaction(work)


def aggregate(collection: str, stages: list[dict[str, Any]]) -> list[Document]:
    """The results of a compiled pipeline; raises ResultTooLarge."""
    source = documents(collection)
    with operation("aggregate", source, *selection(stages)):
        batches = source.aggregate_raw_batches(stages, session=session())
        found: list[Document] = bson.decode_all(bounded(batches), CODEC)
    return found

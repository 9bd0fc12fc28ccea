"""Reading and writing clients' documents; every driver call of the storage service is here.

Called by ``storage.services`` with names, keys and specifications that were checked and compiled.
All functions raise DatabaseUnavailable, QueryTimeout, and InvalidQuery for what only the database
finds out; ``keys`` are the spellings of one key, likeliest first (``names.keys_spelled``).
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

import bson
from bson import ObjectId
from django.conf import settings

from core.data import paging
from core.data.client import CODEC, Document, documents, documents_database, in_transaction, session
from core.data.compiler import Update
from core.data.failures import translated
from core.data.names import check_collection
from core.data.paging import Position
from core.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    DuplicateKey,
    InvalidCollection,
    PreconditionFailed,
    ResultTooLarge,
    below,
)

Filter = dict[str, Any]
Projection = dict[str, int]
Written = TypeVar("Written")

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
# Up to here counting is cheap enough to be exact; above, the collection's own counter answers.
_EXACT_COUNT = 50_000
# A comparison with the whole stored document has to fit into one command beside the update.
_MAX_COMPARED_BYTES = 4 * 1024 * 1024
# Under this name the database adds the sort values to a document; nobody can know it beforehand.
_SORT_KEY = f"sort_key_{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Page:
    """Documents of a list, and where the next page begins; None when nothing follows."""

    documents: list[Document]
    end: Position | None


@dataclass(frozen=True, slots=True)
class Found:
    """A stored document and the digest of its bytes, in the form of a strong ETag."""

    document: Document
    etag: str
    size: int


def new_key() -> str:
    """A key as Coglex generates them: 24 hex digits that grow with time."""
    return str(ObjectId())


def etag_of(raw: bytes) -> str:
    """The strong ETag of a document's BSON."""
    return f'"{urlsafe_b64encode(sha256(raw).digest()[:18]).decode()}"'


def find_page(
    collection: str,
    *,
    filter: Filter,  # noqa: A002 - the field's term
    projection: Projection | None,
    sort: paging.Sort,
    limit: int,
    skip: int = 0,
    start: Position | None = None,
) -> Page:
    """Up to ``limit`` documents in the order of ``sort``, whose last field must be ``_id``.

    ``start`` is the end of the page before. Raises ResultTooLarge.
    """
    by_key = len(sort) == 1 and (projection is None or projection.get("_id", 1) == 1)
    offset = skip if start is None else start.offset
    if start is not None and start.values is not None:
        arrays = _may_sort_by_arrays(collection, sort)
        condition = paging.after(sort, start.values, arrays=arrays)
        filter = {"$and": [filter, condition]} if filter else condition  # noqa: A001
        skip = 0
    elif start is not None:
        skip = start.offset
    if not by_key:
        projection = {**(projection or {}), _SORT_KEY: {"$meta": "sortKey"}}  # type: ignore[dict-item]
    with translated():
        raw = _bounded(
            documents(collection).find_raw_batches(
                filter,
                projection,
                sort=list(sort),
                skip=skip,
                limit=limit + 1,
                batch_size=limit + 2,
                session=session(),
            )
        )
        found: list[Document] = bson.decode_all(raw, CODEC)
    end = None
    if len(found) > limit:
        values = (found[limit - 1]["_id"],) if by_key else _sort_values(raw, limit - 1)
        end = Position(values if values and paging.expressible(values) else None, offset + limit)
        del found[limit:]
    if not by_key:
        for document in found:
            del document[_SORT_KEY]
    return Page(found, end)


def _may_sort_by_arrays(collection: str, sort: paging.Sort) -> bool:
    """Whether a sort field may hold an array: not where an index in this order has met none."""
    if len(sort) == 1:
        return False
    asked = {"find": collection, "sort": dict(sort)}
    with translated():
        explained = documents_database().command(
            "explain", asked, verbosity="queryPlanner", session=session()
        )
    stage = explained["queryPlanner"]["winningPlan"]
    stage = stage.get("queryPlan", stage)
    while stage["stage"] not in {"IXSCAN", "SORT"} and "inputStage" in stage:
        stage = stage["inputStage"]
    return stage["stage"] != "IXSCAN" or bool(stage["isMultiKey"])


def _sort_values(raw: bytes, index: int) -> tuple[object, ...] | None:
    """The values that the database sorted a document by; None where one is undefined."""
    start = 0
    for _ in range(index):
        start += int.from_bytes(raw[start : start + 4], "little")
    document = raw[start : start + int.from_bytes(raw[start : start + 4], "little")]
    values = bson.decode(document, CODEC)[_SORT_KEY]
    # The driver decodes undefined, by which empty arrays are sorted, as if it were null.
    array = document[document.rindex(_SORT_KEY.encode()) :]
    undefined = any(b"\x06%d\x00" % place in array for place in range(len(values)))
    return None if undefined else tuple(values)


def _bounded(batches: Iterable[Any]) -> bytes:
    """All batches as one, as long as they are not more than one answer may hold."""
    held: list[bytes] = []
    size = 0
    for batch in batches:
        size += len(batch)
        if size > settings.COGLEX_MAX_RESULT_BYTES:
            raise ResultTooLarge
        held.append(batch)
    return held[0] if len(held) == 1 else b"".join(held)


def count(collection: str, filter: Filter) -> int:  # noqa: A002
    """How many documents match; without a filter a large collection's own counter is believed."""
    with translated():
        if (
            not filter
            and (total := documents(collection).estimated_document_count()) > _EXACT_COUNT
        ):
            return total
        return documents(collection).count_documents(filter, session=session())


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
    source = documents(collection)
    with translated():
        for key in keys:
            batches: Iterable[Any] = source.find_raw_batches(
                {"_id": key}, projection, limit=-1, session=session()
            )
            raw: bytes = next(iter(batches), b"")
            if raw:
                return Found(bson.decode(raw, CODEC), etag_of(raw), len(raw))
    raise DocumentNotFound


def encode_checked(document: Document) -> bytes:
    """The document's BSON; raises DocumentTooLarge over 16 MiB."""
    with translated():
        raw: bytes = bson.encode(document, codec_options=CODEC)
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise DocumentTooLarge
    return raw


def insert(collection: str, document: Document) -> None:
    """Insert one document, which has its ``_id``; raises DuplicateKey."""
    with translated():
        documents(collection).insert_one(document, session=session())


def insert_all(collection: str, new: Sequence[Document]) -> None:
    """Insert documents, which have their ``_id``s, all or none; raises DuplicateKey."""
    if len(new) == 1:
        with below("/0"):
            insert(collection, new[0])
        return

    def work() -> None:
        with translated():
            documents(collection).insert_many(new, session=session())

    in_transaction(work)


def create(collection: str, keys: Sequence[object], document: Document) -> Document:
    """Insert under a key that must be free in all its spellings; else PreconditionFailed."""
    stored = {"_id": keys[0], **document}
    with translated():
        if len(keys) > 1 and documents(collection).find_one(
            {"_id": {"$in": list(keys)}}, {"_id": 1}, session=session()
        ):
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

    def write(chosen: Filter) -> Document | None:
        stored = {"_id": chosen["_id"], **document}
        result = documents(collection).replace_one(chosen, stored, session=session())
        return stored if result.matched_count else None

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
    with translated():
        result = documents(collection).replace_one(
            {"_id": keys[0]}, stored, upsert=True, session=session()
        )
    return stored, result.upserted_id is not None


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

    def write(chosen: Filter) -> int | None:
        result = documents(collection).update_one(
            chosen, change.update, array_filters=change.array_filters, session=session()
        )
        return result.modified_count if result.matched_count else None

    return _write(collection, keys, if_match, write)


def delete(
    collection: str, keys: Sequence[object], *, if_match: frozenset[str] | None = None
) -> None:
    """Delete the document with this key. Raises as ``update`` does."""

    def write(chosen: Filter) -> bool | None:
        return documents(collection).delete_one(chosen, session=session()).deleted_count > 0 or None

    _write(collection, keys, if_match, write)


def _write(
    collection: str,
    keys: Sequence[object],
    if_match: frozenset[str] | None,
    write: Callable[[Filter], Written | None],
) -> Written:
    """Let ``write`` change the one document that is meant; it returns None where none matched."""
    with translated():
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

    def work() -> tuple[int, int]:
        with translated():
            result = documents(collection).update_many(
                filter, change.update, array_filters=change.array_filters, session=session()
            )
        return result.matched_count, result.modified_count

    return in_transaction(work)


def delete_all(collection: str, filter: Filter) -> int:  # noqa: A002
    """Delete what matches, all or none; returns how many."""

    def work() -> int:
        with translated():
            return documents(collection).delete_many(filter, session=session()).deleted_count

    return in_transaction(work)


def aggregate(collection: str, stages: list[dict[str, Any]]) -> list[Document]:
    """The results of a compiled pipeline; raises ResultTooLarge."""
    with translated():
        batches = documents(collection).aggregate_raw_batches(stages, session=session())
        found: list[Document] = bson.decode_all(_bounded(batches), CODEC)
    return found

"""Clients' collections as wholes: sizes, indexes, and all of their documents in and out.

Called by ``storage.operations`` and ``storage.transfers`` with names that were checked. What takes
as long as there are documents has no time limit here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import IndexModel, ReplaceOne, timeout
from pymongo.errors import BulkWriteError

from core.data.client import CODEC, Document, documents
from core.data.failures import DUPLICATE_KEY, translated
from core.errors import NotFound

Filter = dict[str, Any]
# What an index may be besides its keys, in MongoDB's names.
OPTIONS = ("unique", "sparse", "expireAfterSeconds", "partialFilterExpression")
_READ_AT_ONCE = 2000
_RAW: Any = CODEC.with_options(document_class=RawBSONDocument)


def stats(collection: str) -> dict[str, Any]:
    """``{"name", "count", "bytes", "average_bytes", "stored_bytes", "indexes", "index_bytes"}``.

    ``bytes`` are the documents' own, ``stored_bytes`` what they take on the disk, compressed.
    """
    found = _storage_stats(collection)
    return {
        "name": collection,
        "count": found.get("count", 0),
        "bytes": found.get("size", 0),
        "average_bytes": int(found.get("avgObjSize", 0)),
        "stored_bytes": found.get("storageSize", 0),
        "indexes": found.get("nindexes", 0),
        "index_bytes": found.get("totalIndexSize", 0),
    }


def _storage_stats(collection: str) -> Mapping[str, Any]:
    with translated():
        found = list(documents(collection).aggregate([{"$collStats": {"storageStats": {}}}]))
    stats: Mapping[str, Any] = found[0]["storageStats"] if found else {}
    return stats


def drop(collection: str) -> None:
    """Drop a collection with all its documents and indexes."""
    with translated(), timeout(None):
        documents(collection).drop()


def list_indexes(collection: str) -> list[dict[str, Any]]:
    """``{"name", "keys", "options", "bytes", "uses", "since"}`` of each index.

    ``keys`` are lists of a field and a direction, or a kind; ``uses`` counts since ``since``.
    """
    source = documents(collection)
    with translated():
        defined = [_plain(index) for index in source.list_indexes()]
        used = {each["name"]: each["accesses"] for each in source.aggregate([{"$indexStats": {}}])}
    sizes = _storage_stats(collection).get("indexSizes", {})
    return [
        {
            "name": index["name"],
            "keys": _keys_of(index),
            "options": {name: index[name] for name in OPTIONS if name in index},
            "bytes": sizes.get(index["name"], 0),
            "uses": used.get(index["name"], {}).get("ops", 0),
            "since": used.get(index["name"], {}).get("since"),
        }
        for index in defined
    ]


def _plain(value: Mapping[str, Any]) -> Document:
    """The same without the driver's own kinds of mapping."""
    return bson.decode(bson.encode(value), CODEC)


def _keys_of(index: Mapping[str, Any]) -> list[list[Any]]:
    """The fields in order; a text index keeps its own in another place."""
    keys: list[list[Any]] = []
    for name, kind in index["key"].items():
        if name == "_fts":
            keys += [[field, "text"] for field in index["weights"]]
        elif name != "_ftsx":
            keys.append([name, kind])
    return keys


def create_index(
    collection: str, keys: Sequence[tuple[str, Any]], options: Mapping[str, Any]
) -> str:
    """Create an index, which may take long; returns its name. An equal one may be there already.

    Raises DuplicateKey where the documents do not fit a unique one.
    """
    with translated(), timeout(None):
        return documents(collection).create_indexes([IndexModel(list(keys), **options)])[0]


def drop_index(collection: str, name: str) -> None:
    """Drop an index; raises NotFound."""
    if name not in {index["name"] for index in list_indexes(collection)}:
        raise NotFound(f"The collection has no index {name!r}.")
    with translated():
        documents(collection).drop_index(name)


def read_all(
    collection: str, query: Filter, *, after: object = None, resumes: bool = False
) -> Iterator[list[Document]]:
    """The documents that match in the order of their keys, some at a time.

    ``resumes`` goes on after the key ``after``.
    """
    source = documents(collection)
    last, begun = after, resumes
    while True:
        # A bound of the index, unlike $gt, goes on from one type of key to the next.
        bound: dict[str, Any] = {"min": {"_id": last}} if begun else {}
        with translated(), timeout(None):
            batches: Any = source.find_raw_batches(
                query, hint=[("_id", 1)], sort=[("_id", 1)], limit=_READ_AT_ONCE, **bound
            )
            found: list[Document] = bson.decode_all(b"".join(batches), CODEC)
        new = found[1:] if begun and found and found[0]["_id"] == last else found
        if new:
            yield new
            last, begun = new[-1]["_id"], True
        if len(found) < _READ_AT_ONCE:
            return


def encode(document: Document) -> bytes:
    """A document's BSON; raises InvalidDocument."""
    with translated():
        raw: bytes = bson.encode(document, codec_options=CODEC)
    return raw


def write_all(collection: str, new: Sequence[bytes]) -> tuple[int, list[bytes]]:
    """Insert documents, given as BSON: how many were, and those whose key was taken.

    Raises DuplicateKey where a unique index other than that of the keys refuses one.
    """
    with translated(), timeout(None):
        try:
            documents(collection).insert_many([RawBSONDocument(raw) for raw in new], ordered=False)
        except BulkWriteError as error:
            failures = error.details["writeErrors"]
            if not failures or not all(map(_is_taken_key, failures)):
                raise
            return error.details["nInserted"], [new[each["index"]] for each in failures]
    return len(new), []


def _is_taken_key(failure: Mapping[str, Any]) -> bool:
    return failure["code"] in DUPLICATE_KEY and list(failure.get("keyPattern", ())) == ["_id"]


def differing(collection: str, new: Sequence[bytes]) -> list[bytes]:
    """Those of the documents that are not stored just so, byte for byte."""
    keys = [RawBSONDocument(raw)["_id"] for raw in new]
    with translated(), timeout(None):
        batches: Any = documents(collection).find_raw_batches({"_id": {"$in": keys}})
        joined = b"".join(batches)
    stored = {raw.raw for raw in bson.decode_all(joined, _RAW)}
    return [raw for raw in new if raw not in stored]


def replace_all(collection: str, new: Sequence[bytes]) -> None:
    """Replace stored documents with these, or add them, key by key."""
    changes: list[Any] = [
        ReplaceOne({"_id": document["_id"]}, document, upsert=True)
        for document in map(RawBSONDocument, new)
    ]
    with translated(), timeout(None):
        documents(collection).bulk_write(changes, ordered=False)

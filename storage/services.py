"""The document store's domain: what may be asked of a collection, and what comes back.

Called by the API's views, the admin and commands. Values are plain JSON values as a client sends
them (typed ones as Extended JSON); all functions raise InvalidCollection for a name that is none,
InvalidInput with a pointer for what does not compile, and the errors of ``core.data.documents``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core import audit
from core.data import documents as store
from core.data.compiler import (
    Update,
    compile_filter,
    compile_pipeline,
    compile_update,
)
from core.data.encoding import decode_document
from core.data.names import check_collection, check_key, keys_spelled
from core.data.pages import Listing, Query, compiled, projection_of
from core.errors import (
    CoglexError,
    DocumentNotFound,
    InvalidDocument,
    InvalidKey,
    InvalidParameter,
    PreconditionFailed,
)
from core.times import now, rfc3339

Document = dict[str, Any]

MAX_INSERTED = 10_000


def list_documents(*, collection: str, asked: Query) -> Listing:
    """A page of the documents that match, in the order asked for, then of ``_id``."""
    return store.list_page(check_collection(collection), asked)


def count_documents(*, collection: str, query: object = None) -> int:
    """How many documents match."""
    return store.count(check_collection(collection), query)


def list_collections(*, may_read: Callable[[str], bool]) -> list[dict[str, object]]:
    """``{"name", "count"}`` of each collection that ``may_read`` allows, by name."""
    names = [name for name in store.list_collections() if may_read(name)]
    return [{"name": name, "count": store.count(name)} for name in names]


def get_document(*, collection: str, key: str, keys: object = None) -> store.Found:
    """The document that a path means by ``key``, and its ETag; raises DocumentNotFound."""
    return store.get(check_collection(collection), keys_spelled(key), projection_of(keys))


def insert_document(*, collection: str, document: object) -> Document:
    """Insert one document; ``{"inserted_id", "inserted_count", "created_at"}``."""
    return insert_new(check_collection(collection), new_document(document))


def insert_documents(*, collection: str, documents: object) -> Document:
    """Insert 1 to 10,000 documents, all or none."""
    return insert_all_new(check_collection(collection), new_documents(documents))


def new_document(document: object) -> Document:
    """A client's document with its key, as it will be stored."""
    new = _with_key(document)
    store.encode_checked(new)
    return new


def _with_key(document: object) -> Document:
    decoded = decode_document(document)
    key = check_key(decoded["_id"]) if "_id" in decoded else store.new_key()
    return {"_id": key, **decoded}


def new_documents(documents: object) -> list[Document]:
    """A client's list of documents with their keys.

    The sizes of several are looked at as they are inserted: to encode each before takes long.
    """
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_INSERTED:
        raise InvalidDocument.at("", f"Send a list of 1 to {MAX_INSERTED} documents.")
    make = new_document if len(documents) == 1 else _with_key
    new: list[Document] = []
    try:
        for document in documents:
            new.append(make(document))  # noqa: PERF401 - their number is the index
    except CoglexError as error:
        error.under(f"/{len(new)}")
        raise
    return new


def insert_new(collection: str, new: Document) -> Document:
    """Insert what ``new_document`` made."""
    store.insert(collection, new)
    return {"inserted_id": new["_id"], "inserted_count": 1, "created_at": rfc3339(now())}


def insert_all_new(collection: str, new: list[Document]) -> Document:
    """Insert what ``new_documents`` made."""
    store.insert_all(collection, new)
    return {
        "inserted_ids": [document["_id"] for document in new],
        "inserted_count": len(new),
        "created_at": rfc3339(now()),
    }


def put_document(
    *,
    collection: str,
    key: str,
    document: object,
    if_match: frozenset[str] | None = None,
    create_only: bool = False,
) -> tuple[Document, bool]:
    """Replace the document of this key, or create it; the document, and whether it was created.

    With ``if_match`` it must be there with one of these ETags, with ``create_only`` it must not
    be there; else PreconditionFailed.
    """
    check_collection(collection)
    keys, new = keyed(keys_spelled(key), document)
    if create_only and if_match is not None:
        raise InvalidParameter("If-Match and If-None-Match exclude each other.")
    if create_only:
        return store.create(collection, keys, new), True
    if if_match is None:
        return store.replace_or_create(collection, keys, new)
    return _replace_existing(collection, keys, new, if_match), False


def _replace_existing(
    collection: str, keys: list[object], new: Document, if_match: frozenset[str]
) -> Document:
    try:
        return store.replace(collection, keys, new, if_match=if_match)
    except DocumentNotFound:
        raise PreconditionFailed("There is no document with this key.") from None


def keyed(keys: list[object], document: object) -> tuple[list[object], Document]:
    """The keys that may be meant, and the document without its own, which has to be one of them."""
    new = dict(decode_document(document))
    if "_id" in new:
        given = check_key(new.pop("_id"))
        keys = [key for key in keys if type(key) is type(given) and key == given]
        if not keys:
            raise InvalidKey.at("/_id", "The _id in the body is not the one in the path.")
    store.encode_checked({"_id": keys[0], **new})
    return keys, new


def update_document(
    *, collection: str, key: str, update: object, if_match: frozenset[str] | None = None
) -> Document:
    """Apply update operators, or set fields; ``{"matched_count": 1, "modified_count": 0|1}``."""
    check_collection(collection)
    modified = store.update(
        collection, keys_spelled(key), compile_update(update), if_match=if_match
    )
    return {"matched_count": 1, "modified_count": modified}


def update_documents(*, collection: str, query: object, update: object, principal: str) -> Document:
    """The same for all that match, all or none; audited."""
    check_collection(collection)
    chosen = compiled("query", compile_filter, query)
    return update_all(collection, chosen, compile_update(update), principal)


def update_all(collection: str, chosen: Document, change: Update, principal: str) -> Document:
    """Run a compiled update of many, and audit it."""
    matched, modified = store.update_all(collection, chosen, change)
    audit.record("storage.update_many", principal=principal, target=collection, matched=matched)
    return {"matched_count": matched, "modified_count": modified}


def delete_document(
    *, collection: str, key: str, if_match: frozenset[str] | None = None
) -> Document:
    """Delete the document of this key; ``{"deleted_count": 1}``."""
    store.delete(check_collection(collection), keys_spelled(key), if_match=if_match)
    return {"deleted_count": 1}


def delete_documents(*, collection: str, query: object, principal: str) -> Document:
    """Delete all that match, all or none; audited."""
    check_collection(collection)
    return delete_all(collection, compiled("query", compile_filter, query), principal)


def delete_all(collection: str, chosen: Document, principal: str) -> Document:
    """Run a compiled delete of many, and audit it."""
    deleted = store.delete_all(collection, chosen)
    audit.record("storage.delete_many", principal=principal, target=collection, deleted=deleted)
    return {"deleted_count": deleted}


def aggregate_documents(
    *, collection: str, pipeline: object, check_read: Callable[[str], None]
) -> list[Document]:
    """The results of an aggregation; ``check_read`` is called with each joined collection."""
    check_collection(collection)
    compiled = compile_pipeline(pipeline)
    for joined in sorted(compiled.collections):
        check_read(joined)
    return store.aggregate(collection, compiled.stages)


def etag(document: Document) -> str:
    """The strong ETag of a document as it is stored."""
    return store.etag_of(store.encode_checked(document))

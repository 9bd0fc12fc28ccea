"""The document store's domain: what may be asked of a collection, and what comes back.

Called by the API's views, the admin and commands. Values are plain JSON values as a client sends
them (typed ones as Extended JSON); all functions raise InvalidCollection for a name that is none,
InvalidInput with a pointer for what does not compile, and the errors of ``core.data.documents``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from core import audit
from core.data import documents as store
from core.data import paging
from core.data.compiler import (
    Update,
    compile_filter,
    compile_pipeline,
    compile_projection,
    compile_sort,
    compile_update,
)
from core.data.encoding import decode_document
from core.data.names import check_collection, check_key, keys_spelled
from core.errors import (
    DocumentNotFound,
    InvalidDocument,
    InvalidKey,
    InvalidParameter,
    PreconditionFailed,
    below,
    parameter,
)

Document = dict[str, Any]
Spec = TypeVar("Spec")

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
MAX_SKIP = 100_000
MAX_INSERTED = 10_000


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of documents; ``next`` is the token of the page that follows, if one does."""

    documents: list[Document]
    next: str | None


def list_documents(
    *,
    collection: str,
    query: object = None,
    keys: object = None,
    sort: object = None,
    limit: int | None = None,
    skip: int | None = None,
    after: str | None = None,
) -> Listing:
    """A page of the documents that match ``query``, in the order of ``sort``, then of ``_id``.

    ``after`` is the token of a page before, made for the same query and sort.
    """
    check_collection(collection)
    order = _order(sort)
    context = orjson.dumps([collection, query or {}, order]).decode()
    page = store.find_page(
        collection,
        filter=_compiled("query", compile_filter, query),
        projection=_projection(keys),
        sort=order,
        limit=limit or DEFAULT_LIMIT,
        skip=skip or 0,
        start=None if after is None else paging.unseal(after, context),
    )
    return Listing(page.documents, paging.seal(page.end, context) if page.end else None)


def _order(sort: object) -> list[tuple[str, int]]:
    """A total order: the fields asked for, and the key to tell equals apart."""
    if sort is None:
        return [("_id", 1)]
    order = _compiled("sort", compile_sort, sort)
    fields = [field for field, _ in order]
    return order[: fields.index("_id") + 1] if "_id" in fields else [*order, ("_id", 1)]


def _projection(keys: object) -> dict[str, int] | None:
    return None if keys is None else _compiled("keys", compile_projection, keys)


def _compiled(name: str, compile_: Callable[[object], Spec], value: object) -> Spec:
    with parameter(name):
        return compile_({} if value is None else value)


def count_documents(*, collection: str, query: object = None) -> int:
    """How many documents match."""
    return store.count(check_collection(collection), _compiled("query", compile_filter, query))


def list_collections(*, may_read: Callable[[str], bool]) -> list[dict[str, object]]:
    """``{"name", "count"}`` of each collection that ``may_read`` allows, by name."""
    names = [name for name in store.list_collections() if may_read(name)]
    return [{"name": name, "count": store.count(name, {})} for name in names]


def get_document(*, collection: str, key: str, keys: object = None) -> store.Found:
    """The document that a path means by ``key``, and its ETag; raises DocumentNotFound."""
    return store.get(check_collection(collection), keys_spelled(key), _projection(keys))


def insert_document(*, collection: str, document: object) -> Document:
    """Insert one document; ``{"inserted_id", "inserted_count", "created_at"}``."""
    return insert_new(check_collection(collection), new_document(document))


def insert_documents(*, collection: str, documents: object) -> Document:
    """Insert 1 to 10,000 documents, all or none."""
    return insert_all_new(check_collection(collection), new_documents(documents))


def new_document(document: object) -> Document:
    """A client's document with its key, as it will be stored."""
    decoded = decode_document(document)
    key = check_key(decoded.pop("_id")) if "_id" in decoded else store.new_key()
    new = {"_id": key, **decoded}
    store.encode_checked(new)
    return new


def new_documents(documents: object) -> list[Document]:
    """A client's list of documents with their keys."""
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_INSERTED:
        raise InvalidDocument.at("", f"Send a list of 1 to {MAX_INSERTED} documents.")
    new = []
    for index, document in enumerate(documents):
        with below(f"/{index}"):
            new.append(new_document(document))
    return new


def insert_new(collection: str, new: Document) -> Document:
    """Insert what ``new_document`` made."""
    store.insert(collection, new)
    return {"inserted_id": new["_id"], "inserted_count": 1, "created_at": _now()}


def insert_all_new(collection: str, new: list[Document]) -> Document:
    """Insert what ``new_documents`` made."""
    store.insert_all(collection, new)
    return {
        "inserted_ids": [document["_id"] for document in new],
        "inserted_count": len(new),
        "created_at": _now(),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
    new = decode_document(document)
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
    chosen = _compiled("query", compile_filter, query)
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
    return delete_all(collection, _compiled("query", compile_filter, query), principal)


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

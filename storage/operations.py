"""What operators do with collections: shared by the admin and the commands; changes are audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core import audit, slow
from core.data import collections, documents
from core.data.compiler import compile_filter
from core.data.names import check_collection
from core.errors import InvalidInput, NotFound, below
from storage import services

Keys = list[tuple[str, Any]]

KINDS = ("text", "2d", "2dsphere", "hashed")
_ASCENDING, _DESCENDING = 1, -1
_PRIMARY = "_id_"


def list_collections() -> list[dict[str, Any]]:
    """What ``core.data.collections.stats`` says of each collection, by name."""
    return [collections.stats(name) for name in documents.list_collections()]


def describe(*, collection: str) -> dict[str, Any]:
    """The same of one, with its indexes in ``index_list``; raises NotFound."""
    _require(collection)
    return {
        **collections.stats(collection),
        "index_list": collections.list_indexes(collection),
    }


def _require(collection: str) -> None:
    if check_collection(collection) not in documents.list_collections():
        raise NotFound(f"There is no collection {collection!r}.")


def drop_collection(*, collection: str, by: str) -> int:
    """Drop a collection; returns how many documents it had. Raises NotFound."""
    count: int = describe(collection=collection)["count"]
    collections.drop(collection)
    audit.record("storage.drop_collection", principal=by, target=collection, documents=count)
    return count


def list_indexes(*, collection: str) -> list[dict[str, Any]]:
    """What ``core.data.collections.list_indexes`` says; raises NotFound."""
    _require(collection)
    return collections.list_indexes(collection)


def parse_keys(words: Sequence[str]) -> Keys:
    """The keys of an index as people write them: ``-price``, ``name``, ``place:2dsphere``."""
    return [_parse_key(word) for word in words]


def _parse_key(word: str) -> tuple[str, Any]:
    field, colon, kind = word.partition(":")
    if colon:
        return field, kind
    return (field[1:], _DESCENDING) if field.startswith("-") else (field, _ASCENDING)


def spell_keys(keys: Sequence[Sequence[Any]]) -> list[str]:
    """The keys of an index as ``parse_keys`` takes them."""
    return [_spell_key(field, kind) for field, kind in keys]


def _spell_key(field: str, kind: Any) -> str:
    if isinstance(kind, str):
        return f"{field}:{kind}"
    return f"-{field}" if kind < 0 else field


def create_index(
    *,
    collection: str,
    keys: Keys,
    by: str,
    unique: bool = False,
    sparse: bool = False,
    expire_after: int | None = None,
    partial: object = None,
) -> str:
    """Create an index; returns its name. The collection is made, where it is missing.

    ``expire_after`` deletes documents so many seconds after the date in the one key; ``partial``
    is a filter, and only what it matches is in the index. Raises InvalidInput, InvalidQuery, and
    DuplicateKey where documents have the same unique values.
    """
    check_collection(collection)
    check_index(keys)
    if expire_after is not None and (expire_after < 0 or len(keys) != 1):
        raise InvalidInput("Documents expire by one field, after 0 seconds or more.")
    options: dict[str, Any] = {}
    if partial is not None:
        with below("/partial"):
            options["partialFilterExpression"] = compile_filter(partial)
    options |= {"unique": True} if unique else {}
    options |= {"sparse": True} if sparse else {}
    options |= {} if expire_after is None else {"expireAfterSeconds": expire_after}
    name = collections.create_index(collection, keys, options)
    audit.record("storage.create_index", principal=by, target=collection, index=name)
    return name


def check_index(keys: Keys) -> None:
    """Raise InvalidInput unless these may be the keys of an index."""
    if not keys:
        raise InvalidInput("An index needs a field.")
    for field, kind in keys:
        if not field or "\0" in field or any(part[:1] in {"", "$"} for part in field.split(".")):
            raise InvalidInput(f"{field!r} is not the path of a field.")
        if kind not in {_ASCENDING, _DESCENDING, *KINDS}:
            raise InvalidInput(f"{kind!r} is not a kind of index: use one of {', '.join(KINDS)}.")


def drop_index(*, collection: str, name: str, by: str) -> None:
    """Drop an index; raises NotFound, and InvalidInput for that of the keys."""
    _require(collection)
    if name == _PRIMARY:
        raise InvalidInput("The index of the keys cannot be dropped.")
    collections.drop_index(collection, name)
    audit.record("storage.drop_index", principal=by, target=collection, index=name)


def suggest_indexes(*, collection: str | None = None) -> list[dict[str, Any]]:
    """Indexes that slow operations would have used, those that cost most first.

    ``{"collection", "keys", "operations", "milliseconds"}``: ``keys`` as ``parse_keys`` takes
    them, and what the operations took together. Fields compared for equality come first, then
    those of the sort, then ranges.
    Source: https://www.mongodb.com/docs/manual/tutorial/equality-sort-range-rule/
    """
    wanted: dict[tuple[str, tuple[str, ...]], dict[str, Any]] = {}
    for record in slow.find(collection=collection):
        keys = tuple(spell_keys(index_for(record["filter"], record["sort"])))
        if not keys or keys == ("_id",):
            continue
        place = (record["collection"], keys)
        entry = wanted.setdefault(
            place,
            {"collection": place[0], "keys": list(keys), "operations": 0, "milliseconds": 0},
        )
        entry["operations"] += record["count"]
        entry["milliseconds"] += round(record["milliseconds"])
    there = set(documents.list_collections())
    missing = [
        each
        for each in wanted.values()
        if each["collection"] in there and not _is_served(each["collection"], each["keys"])
    ]
    return sorted(missing, key=lambda each: -each["milliseconds"])


def index_for(chosen: Mapping[str, Any], sort: Mapping[str, int]) -> Keys:
    """The keys of the index that a filter and a sort call for."""
    equal, ranges = _fields_of(chosen)
    fields: dict[str, int] = dict.fromkeys(equal, _ASCENDING)
    for field, direction in sort.items():
        fields.setdefault(field, direction)
    for field in ranges:
        fields.setdefault(field, _ASCENDING)
    # A key is unique: what comes after it changes nothing.
    names = list(fields)
    kept = names[: names.index("_id") + 1] if "_id" in names else names
    return [(field, fields[field]) for field in kept]


def _fields_of(chosen: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The fields that are compared for equality, and those that are compared otherwise."""
    equal: list[str] = []
    ranges: list[str] = []
    for name, condition in chosen.items():
        if name == "$and":
            for each in condition:
                inner = _fields_of(each)
                equal += inner[0]
                ranges += inner[1]
        elif not name.startswith("$"):
            (equal if _is_equality(condition) else ranges).append(name)
    return equal, ranges


def _is_equality(condition: object) -> bool:
    if not isinstance(condition, Mapping):
        return True
    return not any(name.startswith("$") and name not in {"$eq", "$in"} for name in condition)


def _is_served(collection: str, keys: list[str]) -> bool:
    """Whether an index begins with these keys."""
    return any(
        spell_keys(index["keys"])[: len(keys)] == keys
        for index in collections.list_indexes(collection)
    )


def save_document(
    *, collection: str, key: str | None, document: object, etag: str | None, by: str
) -> str:
    """Keep a document that an operator wrote; returns its key.

    With an ``etag`` it must still be stored with that one, else PreconditionFailed; without one
    it must be new. Raises what ``services.put_document`` does.
    """
    if key is None:
        stored = services.insert_document(collection=collection, document=document)
        key = str(stored["inserted_id"])
        action = "create_document"
    else:
        if_match = None if etag is None else frozenset({etag})
        services.put_document(
            collection=collection,
            key=key,
            document=document,
            if_match=if_match,
            create_only=etag is None,
        )
        action = "edit_document"
    audit.record(f"storage.{action}", principal=by, target=f"{collection}/{key}")
    return key


def delete_document(*, collection: str, key: str, etag: str, by: str) -> None:
    """Delete a document that is still stored with this ETag; else PreconditionFailed."""
    services.delete_document(collection=collection, key=key, if_match=frozenset({etag}))
    audit.record("storage.delete_document", principal=by, target=f"{collection}/{key}")

"""Several writes over any collections in one transaction: the body of a batch and its running.

Called by the API's root view. Everything is parsed and compiled before the transaction begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from core.data import documents as store
from core.data.client import in_transaction
from core.data.compiler import compile_filter, compile_update
from core.data.encoding import decode_value
from core.data.names import check_collection, check_key, keys_spelled
from core.errors import CoglexError, FieldError, InvalidInput, below
from storage import services

MAX_OPERATIONS = 1000

Run = Callable[[], object]
Operation = Mapping[str, Any]

# What an operation must have beside "op" and "collection", and what it may have.
_MEMBERS: dict[str, tuple[tuple[frozenset[str], ...], frozenset[str]]] = {
    "insert": ((frozenset({"document"}), frozenset({"documents"})), frozenset()),
    "update": (
        (frozenset({"key", "update"}), frozenset({"query", "update"})),
        frozenset({"if_match"}),
    ),
    "replace": ((frozenset({"key", "document"}),), frozenset({"if_match"})),
    "delete": ((frozenset({"key"}), frozenset({"query"})), frozenset({"if_match"})),
}


def run_batch(
    *, operations: object, check_write: Callable[[str], None], principal: str
) -> list[object]:
    """Run operations in order, all or none; what each single call would answer.

    ``check_write`` is called with the collection of each operation. The first failure is raised,
    with ``/operations/<index>`` as its first pointer.
    """
    if not isinstance(operations, list) or not 1 <= len(operations) <= MAX_OPERATIONS:
        detail = f"operations must be a list of 1 to {MAX_OPERATIONS} operations."
        raise InvalidInput.at("/operations", detail)
    runs = [
        _located(index, lambda op=operation: _prepare(op, check_write, principal))  # type: ignore[misc]
        for index, operation in enumerate(operations)
    ]
    return in_transaction(lambda: [_located(index, run) for index, run in enumerate(runs)])


def _located(index: int, call: Callable[[], Any]) -> Any:
    """The result of ``call``; its error leads to the operation first, then into it."""
    try:
        return call()
    except CoglexError as error:
        place = f"/operations/{index}"
        inner = [replace(field, parameter=None) for field in error.under(place).errors]
        here = FieldError(error.detail, error.code, pointer=place)
        error.errors = (here, *(field for field in inner if field.pointer != place))
        raise


def _prepare(operation: object, check_write: Callable[[str], None], principal: str) -> Run:
    members = _checked(operation)
    collection = check_collection(members["collection"], "/collection")
    check_write(collection)
    return _PREPARE[members["op"]](collection, members, principal)


def _checked(operation: object) -> Operation:
    if not isinstance(operation, dict):
        raise InvalidInput.at("", "An operation must be an object.")
    kind = operation.get("op")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise InvalidInput.at("/op", f"op must be one of {', '.join(_MEMBERS)}.")
    alternatives, optional = _MEMBERS[kind]
    given = frozenset(operation) - {"op", "collection"}
    if given - optional not in alternatives or "collection" not in operation:
        wanted = " or ".join(", ".join(sorted(members)) for members in alternatives)
        detail = f"{kind} takes collection and {wanted}, and nothing else."
        raise InvalidInput.at("", detail)
    if "if_match" in given and "key" not in given:
        raise InvalidInput.at("/if_match", "if_match needs a key.")
    return operation


def _insert(collection: str, members: Operation, principal: str) -> Run:
    place = "document" if "document" in members else "documents"
    with below(f"/{place}"):
        if place == "document":
            new = services.new_document(members[place])
            run: Run = lambda: services.insert_new(collection, new)  # noqa: E731
        else:
            several = services.new_documents(members[place])
            run = lambda: services.insert_all_new(collection, several)  # noqa: E731
    return _pointing(f"/{place}", run)


def _pointing(place: str, run: Run) -> Run:
    """``run``, whose errors lead below ``place``."""

    def located() -> object:
        with below(place):
            return run()

    return located


def _update(collection: str, members: Operation, principal: str) -> Run:
    with below("/update"):
        change = compile_update(members["update"])
    if "query" in members:
        with below("/query"):
            chosen = compile_filter(members["query"])
        return lambda: services.update_all(collection, chosen, change, principal)
    keys, if_match = _keys(members["key"]), _if_match(members)
    return lambda: {
        "matched_count": 1,
        "modified_count": store.update(collection, keys, change, if_match=if_match),
    }


def _replace(collection: str, members: Operation, principal: str) -> Run:
    keys, if_match = _keys(members["key"]), _if_match(members)
    with below("/document"):
        keys, new = services.keyed(keys, members["document"])
    return lambda: store.replace(collection, keys, new, if_match=if_match)


def _delete(collection: str, members: Operation, principal: str) -> Run:
    if "query" in members:
        with below("/query"):
            chosen = compile_filter(members["query"])
        return lambda: services.delete_all(collection, chosen, principal)
    keys, if_match = _keys(members["key"]), _if_match(members)

    def delete() -> object:
        store.delete(collection, keys, if_match=if_match)
        return {"deleted_count": 1}

    return delete


def _keys(key: object) -> list[object]:
    """A string means what it means in a path; any other key is itself."""
    if not isinstance(key, str):
        return [check_key(decode_value(key, "/key"), "/key")]
    return keys_spelled(key)


def _if_match(members: Operation) -> frozenset[str] | None:
    if "if_match" not in members:
        return None
    tag = members["if_match"]
    if not isinstance(tag, str):
        raise InvalidInput.at("/if_match", "if_match must be an ETag.")
    return frozenset({tag})


_PREPARE: dict[str, Callable[[str, Operation, str], Run]] = {
    "insert": _insert,
    "update": _update,
    "replace": _replace,
    "delete": _delete,
}

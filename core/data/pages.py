"""Lists of documents: filtered, sorted, in pages that a next link walks through.

Called by ``core.data.documents`` for clients' collections and by ``core.data.records`` for the
internal ones. Raises what the compiler and ``core.data.failures`` raise, and ResultTooLarge.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import bson
import orjson
from django.conf import settings
from pymongo.collection import Collection

from core import turns
from core.data import paging
from core.data.client import CODEC, Document, session
from core.data.commands import find_batch
from core.data.compiler import compile_filter, compile_projection, compile_sort
from core.data.failures import translated
from core.data.monitoring import operation
from core.data.paging import Position
from core.errors import ResultTooLarge, parameter

Filter = dict[str, Any]
Projection = dict[str, int]
Spec = TypeVar("Spec")
Source = Collection[Document]

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
MAX_SKIP = 100_000
# Up to here counting is cheap enough to be exact; above, the collection's own counter answers.
_EXACT_COUNT = 50_000
# The database sends no more at once.
_MOST_IN_A_BATCH = 17 * 1024 * 1024
# Under this name the database adds the sort values to a document; nobody can know it beforehand.
_SORT_KEY = f"sort_key_{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Query:
    """What a client asks of a list, as plain JSON values; ``after`` is a next link's token."""

    query: object = None
    keys: object = None
    sort: object = None
    limit: int | None = None
    skip: int | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of documents; ``next`` is the token of the page that follows, if one does."""

    documents: list[Document]
    next: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Documents of a list, and where the next page begins; None when nothing follows."""

    documents: list[Document]
    end: Position | None


def list_page(
    source: Source, asked: Query, order: Sequence[tuple[str, int]] = (("_id", 1),)
) -> Listing:
    """The page that is asked for, in the order asked for, or else in ``order``."""
    sort = total_order(asked.sort, order)
    context = orjson.dumps([source.full_name, asked.query or {}, sort]).decode()
    page = find_page(
        source,
        filter=compiled("query", compile_filter, asked.query),
        projection=projection_of(asked.keys),
        sort=sort,
        limit=asked.limit or DEFAULT_LIMIT,
        skip=asked.skip or 0,
        start=None if asked.after is None else paging.unseal(asked.after, context),
    )
    return Listing(page.documents, paging.seal(page.end, context) if page.end else None)


def total_order(sort: object, order: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The fields asked for, and the key to tell equals apart."""
    if sort is None:
        return list(order)
    asked = compiled("sort", compile_sort, sort)
    fields = [field for field, _ in asked]
    return asked[: fields.index("_id") + 1] if "_id" in fields else [*asked, ("_id", 1)]


def projection_of(keys: object) -> dict[str, int] | None:
    """The compiled ``keys`` parameter."""
    return None if keys is None else compiled("keys", compile_projection, keys)


def compiled(name: str, compile_: Callable[[object], Spec], value: object) -> Spec:
    """A compiled parameter; absent is empty, and errors say the parameter's name."""
    with parameter(name):
        return compile_({} if value is None else value)


def find_page(
    source: Source,
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
        arrays = _may_sort_by_arrays(source, sort)
        condition = paging.after(sort, start.values, arrays=arrays)
        filter = {"$and": [filter, condition]} if filter else condition  # noqa: A001
        skip = 0
    elif start is not None:
        skip = start.offset
    if not by_key:
        projection = {**(projection or {}), _SORT_KEY: {"$meta": "sortKey"}}  # type: ignore[dict-item]
    asked = {"filter": filter, "sort": dict(sort), "skip": skip, "limit": limit + 1}
    if projection:
        asked["projection"] = projection
    found, raw = _read(source, asked, exactly=not by_key)
    end = None
    if len(found) > limit:
        values = (found[limit - 1]["_id"],) if by_key else _sort_values(raw, limit - 1)
        end = Position(values if values and paging.expressible(values) else None, offset + limit)
        del found[limit:]
    if not by_key:
        for document in found:
            del document[_SORT_KEY]
    return Page(found, end)


def _read(source: Source, asked: Document, *, exactly: bool) -> tuple[list[Document], bytes]:
    """What a find finds; and, where it is needed ``exactly``, its BSON."""
    command = {"find": source.name, **asked, "batchSize": asked["limit"] + 1}
    with operation("find", source, asked["filter"], asked["sort"]):
        if not exactly and settings.COGLEX_MAX_RESULT_BYTES >= _MOST_IN_A_BATCH:
            some = find_batch(source.database, command)
            if some is not None:
                return some, b""
        with turns.waiting():
            raw = bounded(
                source.find_raw_batches(
                    asked["filter"],
                    asked.get("projection"),
                    sort=list(asked["sort"].items()),
                    skip=asked["skip"],
                    limit=asked["limit"],
                    batch_size=asked["limit"] + 1,
                    session=session(),
                )
            )
        return bson.decode_all(raw, CODEC), raw


def _may_sort_by_arrays(source: Source, sort: paging.Sort) -> bool:
    """Whether a sort field may hold an array: not where an index in this order has met none."""
    if len(sort) == 1:
        return False
    asked = {"find": source.name, "sort": dict(sort)}
    with translated():
        explained = source.database.command(
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


def bounded(batches: Iterable[Any]) -> bytes:
    """All batches as one, as long as they are not more than one answer may hold."""
    held: list[bytes] = []
    size = 0
    for batch in batches:
        size += len(batch)
        if size > settings.COGLEX_MAX_RESULT_BYTES:
            raise ResultTooLarge
        held.append(batch)
    return held[0] if len(held) == 1 else b"".join(held)


def count_matching(source: Source, query: object = None) -> int:
    """How many match; without a query a large collection's own counter is believed."""
    chosen = compiled("query", compile_filter, query)
    with operation("aggregate", source, chosen):
        if not chosen and (total := source.estimated_document_count()) > _EXACT_COUNT:
            return total
        return source.count_documents(chosen, session=session())

"""What is told of the driver's work: an operation's time, and a slow one's shape.

The data layer's modules put ``operation`` around what they ask of the driver. The shape of an
operation is its fields and operators without any value. ``take_slow`` hands what was slow in this
process to ``core.slow``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from time import perf_counter
from types import TracebackType
from typing import Any

import structlog
from bson.errors import BSONError
from django.conf import settings
from pymongo.collection import Collection
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from core import metrics, turns
from core.data.failures import translate

log = structlog.get_logger("coglex.data")

Shape = dict[str, Any]

ANY = "?"
_LOGICAL = frozenset({"$and", "$or", "$nor"})
_MOST_FIELDS, _MOST_BRANCHES, _MOST_DEPTH, _LONGEST_NAME = 30, 10, 4, 100
# Beyond this, slow operations that nobody takes are forgotten, the oldest first.
_MOST_HELD = 1000
_slow: deque[Shape] = deque(maxlen=_MOST_HELD)


def take_slow() -> list[Shape]:
    """Slow operations on clients' documents since this was last asked.

    ``{"collection", "operation", "filter", "sort", "milliseconds"}``.
    """
    taken = []
    while _slow:
        taken.append(_slow.popleft())
    return taken


# They wait for the disk, or for what the database computes: others compute meanwhile.
_LONG = frozenset({"insert", "update", "delete", "findAndModify", "aggregate"})


_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


@lru_cache(maxsize=1)
def _is_near(uri: str | None) -> bool:
    if not uri:
        return True
    if uri.startswith("mongodb+srv:"):
        return False
    return all(host in _LOCAL or host.startswith("/") for host, _ in parse_uri(uri)["nodelist"])


def is_near() -> bool:
    """Whether MongoDB is on this machine: it then answers reads sooner than a turn is given on."""
    return _is_near(settings.MONGODB_URI)


class operation:  # noqa: N801 - read as "with operation(…)"
    """Stands around an operation of the driver: times it, tells of it where it was slow, and
    raises the driver's errors in the domain's words.

    A listener of the driver would be told the same, at a sixth of the cost of a whole read.
    """

    __slots__ = ("_chosen", "_name", "_sort", "_source", "_started", "_waits")

    def __init__(
        self, name: str, source: Collection[Any], chosen: Any = None, sort: Any = None
    ) -> None:
        self._name, self._source, self._chosen, self._sort = name, source, chosen, sort

    def __enter__(self) -> None:
        self._waits = (self._name in _LONG or not is_near()) and turns.leave()
        self._started = perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seconds = perf_counter() - self._started
        if self._waits:
            turns.come_back()
        outcome = "ok" if error is None else "failed"
        metrics.observe_operation(operation=self._name, outcome=outcome, seconds=seconds)
        if seconds * 1000 >= settings.COGLEX_SLOW_MS:
            self._tell(seconds * 1000)
        if isinstance(error, PyMongoError | BSONError):
            raise translate(error) from error

    def _tell(self, milliseconds: float) -> None:
        database = self._source.database.name
        told: Shape = {
            "collection": self._source.name,
            "operation": self._name,
            "filter": shape_of(self._chosen),
            "sort": _sort_of(self._sort),
            "milliseconds": round(milliseconds, 1),
        }
        log.warning("slow_operation", database=database, **told)
        if database == settings.MONGODB_DATABASE and (told["filter"] or told["sort"]):
            _slow.append(told)


def selection(stages: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """The filter and the sort that a pipeline begins with."""
    chosen = stages[0].get("$match") if stages else None
    sorts = [stage["$sort"] for stage in stages[:2] if "$sort" in stage]
    return chosen, sorts[0] if sorts else None


def _sort_of(sort: Any) -> Shape:
    sort = dict(sort or {})
    return {
        name[:_LONGEST_NAME]: direction if direction in {1, -1} else ANY
        for name, direction in list(sort.items())[:_MOST_FIELDS]
        if isinstance(direction, int | Mapping)
    }


def shape_of(chosen: Any, depth: int = 0) -> Shape:
    """A filter with ``?`` for its values; what is very large is cut short."""
    if not isinstance(chosen, Mapping) or depth > _MOST_DEPTH:
        return {}
    return {
        name[:_LONGEST_NAME]: [shape_of(each, depth + 1) for each in condition[:_MOST_BRANCHES]]
        if name in _LOGICAL and isinstance(condition, list)
        else _condition_of(condition)
        for name, condition in list(chosen.items())[:_MOST_FIELDS]
    }


def _condition_of(condition: Any) -> Any:
    """Operators with ``?`` for their operands; other objects are values."""
    if isinstance(condition, Mapping) and condition:
        names = list(condition)[:_MOST_FIELDS]
        if all(name.startswith("$") for name in names):
            return dict.fromkeys(names, ANY)
    return ANY

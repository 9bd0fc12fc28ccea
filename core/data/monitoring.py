"""What the driver tells of its work: every operation is timed, a slow one is told of by its shape.

Plugged into the client. The shape of an operation is its fields and operators without any value.
``take_slow`` hands what was slow in this process to ``core.slow``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog
from django.conf import settings
from pymongo import monitoring

from core import metrics

log = structlog.get_logger("coglex.data")

Shape = dict[str, Any]

ANY = "?"
_LOGICAL = frozenset({"$and", "$or", "$nor"})
_MOST_FIELDS, _MOST_BRANCHES, _MOST_DEPTH, _LONGEST_NAME = 30, 10, 4, 100
# Building an index takes a tenth of a second when there is nothing to index.
_SLOW_BY_NATURE = frozenset({"createIndexes"})
# Beyond this, slow operations that nobody takes are forgotten, the oldest first.
_MOST_HELD = 1000
_slow: deque[Shape] = deque(maxlen=_MOST_HELD)


def listeners() -> list[Any]:
    """What a client is made with."""
    return [_Operations(), _Connections()]


def take_slow() -> list[Shape]:
    """Slow operations on clients' documents since this was last asked.

    ``{"collection", "operation", "filter", "sort", "milliseconds"}``.
    """
    taken = []
    while _slow:
        taken.append(_slow.popleft())
    return taken


class _Operations(monitoring.CommandListener):
    """Times operations."""

    def __init__(self) -> None:
        self._commands: dict[int, Mapping[str, Any]] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self._commands[event.request_id] = event.command

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._ended(event, "ok")

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._ended(event, "failed")

    def _ended(
        self, event: monitoring.CommandSucceededEvent | monitoring.CommandFailedEvent, outcome: str
    ) -> None:
        command = self._commands.pop(event.request_id, {})
        micros = event.duration_micros
        metrics.observe_operation(
            operation=event.command_name, outcome=outcome, seconds=micros / 1_000_000
        )
        if micros >= settings.COGLEX_SLOW_MS * 1000 and event.command_name not in _SLOW_BY_NATURE:
            _note(event.command_name, event.database_name, command, micros / 1000)


class _Connections(monitoring.ConnectionPoolListener):
    """Counts connections."""

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        metrics.add_connections(state="open", more=1)

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        metrics.add_connections(state="open", more=-1)

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        metrics.add_connections(state="in_use", more=1)

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        metrics.add_connections(state="in_use", more=-1)

    def _nothing(self, event: Any) -> None:
        """What else a pool tells is not counted."""

    pool_created = pool_ready = pool_cleared = pool_closed = _nothing
    connection_ready = connection_check_out_started = connection_check_out_failed = _nothing


def _note(operation: str, database: str, command: Mapping[str, Any], milliseconds: float) -> None:
    chosen, sort = _selection(operation, command)
    collection = command.get("collection" if operation == "getMore" else operation)
    told: Shape = {
        "collection": collection if isinstance(collection, str) else None,
        "operation": operation,
        "filter": shape_of(chosen),
        "sort": _sort_of(sort),
        "milliseconds": round(milliseconds, 1),
    }
    log.warning("slow_operation", database=database, **told)
    if database == settings.MONGODB_DATABASE and (told["filter"] or told["sort"]):
        _slow.append(told)


def _selection(operation: str, command: Mapping[str, Any]) -> tuple[Any, Any]:
    """An operation's filter and sort."""
    if operation == "aggregate":
        stages = command.get("pipeline", ())
        first = stages[0].get("$match", {}) if stages else {}
        sorts = [stage["$sort"] for stage in stages[:2] if "$sort" in stage]
        return first, sorts[0] if sorts else {}
    if operation in {"update", "delete"}:
        several = command.get(f"{operation}s", ())
        return several[0].get("q", {}) if several else {}, {}
    return command.get("filter", command.get("query", {})), command.get("sort", {})


def _sort_of(sort: Any) -> Shape:
    if not isinstance(sort, Mapping):
        return {}
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

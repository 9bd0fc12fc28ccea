"""What `$group`, `$bucket` and `$setWindowFields` gather: accumulators, windows, sort orders."""

from __future__ import annotations

from core.data.compiler.expressions import Scope, take_expression
from core.data.compiler.grammar import (
    Take,
    escape,
    fields,
    is_wrapper,
    not_allowed,
    one_of,
    take_name,
    take_number,
    take_path,
    take_text,
)
from core.data.compiler.operators import (
    ACCUMULATORS,
    NAMED_ACCUMULATORS,
    RANKS,
    SORTED_ACCUMULATORS,
    WINDOW_NAMED,
    WINDOW_PAIRS,
    WINDOW_SINGLE,
)
from core.errors import InvalidQuery

_direction = one_of(1, -1)
_nothing: Take = fields


def take_order(value: object, at: str) -> dict[str, object]:
    """A sort order inside a pipeline: an object of 1 or -1."""
    if not isinstance(value, dict) or not value or is_wrapper(value):
        raise InvalidQuery.at(at, "This takes an object of fields with 1 or -1.")
    return {
        take_path(name, at + escape(name)): _direction(item, at + escape(name))
        for name, item in value.items()
    }


def take_outputs(value: object, at: str, scope: Scope) -> dict[str, object]:
    """Fields with an accumulator each."""
    if not isinstance(value, dict) or is_wrapper(value):
        raise InvalidQuery.at(at, "This takes an object of accumulators.")
    return {
        take_name(name, at + escape(name)): take_accumulator(item, at + escape(name), scope)
        for name, item in value.items()
    }


def take_accumulator(value: object, at: str, scope: Scope) -> dict[str, object]:
    """One accumulator as `$group` knows it."""
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidQuery.at(at, "An accumulator is an object with one operator.")
    ((name, operand),) = value.items()
    return {name: _take_gathered(name, operand, at + escape(name), scope)}


def _take_gathered(name: str, operand: object, at: str, scope: Scope) -> object:
    def expression(value: object, at: str) -> object:
        return take_expression(value, at, scope)

    if name in ACCUMULATORS:
        return expression(operand, at)
    if name == "$count":
        return _nothing(operand, at)
    if names := NAMED_ACCUMULATORS.get(name):
        return fields(operand, at, required=dict.fromkeys(names, expression))
    if names := SORTED_ACCUMULATORS.get(name):
        parts = {"sortBy": take_order, **dict.fromkeys(names, expression)}
        return fields(operand, at, required=parts)
    raise not_allowed(name, at)


def take_windows(value: object, at: str, scope: Scope) -> dict[str, object]:
    """The output of `$setWindowFields`: fields with a window operator each."""
    if not isinstance(value, dict) or not value or is_wrapper(value):
        raise InvalidQuery.at(at, "This takes an object of window operators.")
    return {
        take_path(name, at + escape(name)): _take_window(item, at + escape(name), scope)
        for name, item in value.items()
    }


def _take_window(value: object, at: str, scope: Scope) -> dict[str, object]:
    if not isinstance(value, dict) or not 1 <= len(value.keys() - {"window"}) <= 1:
        raise InvalidQuery.at(at, "This takes one window operator, and its window.")
    ((name, operand),) = ((name, item) for name, item in value.items() if name != "window")
    taken = {name: _take_windowed(name, operand, at + escape(name), scope)}
    if "window" in value:
        taken["window"] = fields(
            value["window"],
            f"{at}/window",
            optional={"documents": _take_span, "range": _take_span, "unit": take_text},
        )
    return taken


def _take_windowed(name: str, operand: object, at: str, scope: Scope) -> object:
    def expression(value: object, at: str) -> object:
        return take_expression(value, at, scope)

    if name in RANKS:
        return _nothing(operand, at)
    if name in WINDOW_SINGLE:
        return expression(operand, at)
    if name in WINDOW_PAIRS:
        if not isinstance(operand, list) or len(operand) != 2:
            raise InvalidQuery.at(at, f"{name} takes two expressions.")
        return expression(operand, at)
    if names := WINDOW_NAMED.get(name):
        required, optional = names
        plain: dict[str, Take] = {
            "unit": take_text,
            "N": take_number,
            "alpha": take_number,
            "by": take_number,
        }
        return fields(
            operand,
            at,
            required={part: plain.get(part, expression) for part in required},
            optional={part: plain.get(part, expression) for part in optional},
        )
    return _take_gathered(name, operand, at, scope)


def _take_span(value: object, at: str) -> object:
    """The ends of a window: `unbounded`, `current` or a number."""
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidQuery.at(at, "A window has a beginning and an end.")
    return [
        item
        if isinstance(item, str) and item in {"unbounded", "current"}
        else take_number(item, f"{at}/{index}")
        for index, item in enumerate(value)
    ]

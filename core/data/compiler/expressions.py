"""Aggregation expressions: operators by the shape of their operand, variables by their scope.

Source: https://www.mongodb.com/docs/v6.0/reference/operator/aggregation/
"""

from __future__ import annotations

import re
from collections.abc import Callable

from core.data.compiler.grammar import (
    escape,
    fields,
    is_wrapper,
    not_allowed,
    one_of,
    take_literal,
    take_name,
    take_path,
)
from core.data.compiler.operators import DATE_PARTS, NAMED, POSITIONAL
from core.errors import InvalidQuery, OperatorNotAllowed

Scope = frozenset[str]
TakeExpression = Callable[[object, str, Scope], object]

ROOT_SCOPE: Scope = frozenset({"ROOT", "CURRENT", "REMOVE", "NOW"})
REDACT_SCOPE: Scope = ROOT_SCOPE | {"DESCEND", "PRUNE", "KEEP"}
_variable = re.compile(r"[a-z][A-Za-z0-9_]*").fullmatch


def take_expression(value: object, at: str, scope: Scope) -> object:
    """An expression: an operator, an object or list of expressions, a path, a variable, a value."""
    if isinstance(value, str):
        return _take_string(value, at, scope) if value.startswith("$") else value
    if isinstance(value, list):
        return _take_list(value, at, scope)
    if not isinstance(value, dict):
        return value
    if is_wrapper(value):
        return take_literal(value, at)
    if any(name.startswith("$") for name in value):
        return _take_operator(value, at, scope)
    return {
        take_name(name, at + escape(name)): take_expression(item, at + escape(name), scope)
        for name, item in value.items()
    }


def _take_list(value: list[object], at: str, scope: Scope) -> list[object]:
    return [take_expression(item, f"{at}/{index}", scope) for index, item in enumerate(value)]


def _take_string(value: str, at: str, scope: Scope) -> str:
    """``$path``, ``$$variable`` or ``$$variable.path``."""
    if not value.startswith("$$"):
        take_path(value[1:], at)
        return value
    name, dot, path = value[2:].partition(".")
    if name not in scope:
        raise OperatorNotAllowed.at(at, f"The variable $${name[:100]} is not allowed here.")
    if dot:
        take_path(path, at)
    return value


def _take_operator(value: dict[str, object], at: str, scope: Scope) -> dict[str, object]:
    if len(value) != 1:
        raise InvalidQuery.at(at, "An expression's operator must stand alone in its object.")
    ((name, operand),) = value.items()
    place = at + escape(name)
    if special := _SPECIAL.get(name):
        return {name: special(operand, place, scope)}
    if name in POSITIONAL:
        return {name: _take_positional(name, operand, place, scope)}
    if name in NAMED:
        return {name: _take_named(name, operand, place, scope)}
    raise not_allowed(name, place)


def _take_positional(name: str, operand: object, at: str, scope: Scope) -> object:
    low, high = POSITIONAL[name]
    count = len(operand) if isinstance(operand, list) else 1
    if not low <= count <= high:
        wanted = str(low) if low == high else f"{low} or more" if high > 9 else f"{low} to {high}"
        raise InvalidQuery.at(at, f"{name} takes {wanted} operands.")
    return take_expression(operand, at, scope)


def _take_named(name: str, operand: object, at: str, scope: Scope) -> object:
    required, optional = NAMED[name]
    expression = _in(scope)
    return fields(
        operand,
        at,
        required=dict.fromkeys(required, expression),
        optional=dict.fromkeys(optional, expression),
    )


def _in(scope: Scope) -> Callable[[object, str], object]:
    return lambda value, at: take_expression(value, at, scope)


def take_variables(value: object, at: str, scope: Scope) -> tuple[dict[str, object], Scope]:
    """Bindings as of ``$let``, and the scope in which they are known."""
    if not isinstance(value, dict):
        raise InvalidQuery.at(at, "This takes an object of variables.")
    bound = {
        _take_variable(name, at + escape(name)): take_expression(item, at + escape(name), scope)
        for name, item in value.items()
    }
    return bound, scope | bound.keys()


def _take_variable(value: object, at: str) -> str:
    if not isinstance(value, str) or not _variable(value):
        raise InvalidQuery.at(at, "A variable's name is a small letter, then letters and digits.")
    return value


def _take_let(value: object, at: str, scope: Scope) -> object:
    parts = fields(value, at, required={"vars": _anything, "in": _anything})
    bound, inner = take_variables(parts["vars"], f"{at}/vars", scope)
    return {"vars": bound, "in": take_expression(parts["in"], f"{at}/in", inner)}


def _anything(value: object, at: str) -> object:
    """Taken in a second step, in a scope that the first finds out."""
    return value


def _take_each(body: str) -> TakeExpression:
    """``$map`` and ``$filter``: an expression over each element, known by a name."""

    def take(value: object, at: str, scope: Scope) -> object:
        optional = {"as": _take_variable}
        if body == "cond":
            optional["limit"] = _in(scope)  # type: ignore[assignment]
        taken = fields(
            value, at, required={"input": _in(scope), body: _anything}, optional=optional
        )
        inner = scope | {str(taken.get("as", "this"))}
        return {**taken, body: take_expression(taken[body], f"{at}/{body}", inner)}

    return take


def _take_reduce(value: object, at: str, scope: Scope) -> object:
    return fields(
        value,
        at,
        required={
            "input": _in(scope),
            "initialValue": _in(scope),
            "in": _in(scope | {"this", "value"}),
        },
    )


def _take_condition(value: object, at: str, scope: Scope) -> object:
    if isinstance(value, dict):
        return fields(value, at, required=dict.fromkeys(("if", "then", "else"), _in(scope)))
    if not isinstance(value, list) or len(value) != 3:
        raise InvalidQuery.at(at, "$cond takes if, then and else.")
    return _take_list(value, at, scope)


def _take_switch(value: object, at: str, scope: Scope) -> object:
    def branches(value: object, at: str) -> object:
        if not isinstance(value, list) or not value:
            raise InvalidQuery.at(at, "This takes a list of branches.")
        parts = dict.fromkeys(("case", "then"), _in(scope))
        return [fields(item, f"{at}/{i}", required=parts) for i, item in enumerate(value)]

    return fields(value, at, required={"branches": branches}, optional={"default": _in(scope)})


def _take_get_field(value: object, at: str, scope: Scope) -> object:
    """``$getField`` names one field by a plain string, so that no name is computed."""
    if isinstance(value, dict):
        return fields(value, at, required={"field": take_name, "input": _in(scope)})
    return take_name(value, at)


def _take_set_field(value: object, at: str, scope: Scope) -> object:
    parts = {"field": take_name, "input": _in(scope), "value": _in(scope)}
    return fields(value, at, required=parts)


def _take_unset_field(value: object, at: str, scope: Scope) -> object:
    return fields(value, at, required={"field": take_name, "input": _in(scope)})


def _take_sort_array(value: object, at: str, scope: Scope) -> object:
    def order(value: object, at: str) -> object:
        direction = one_of(1, -1)
        if not isinstance(value, dict):
            return direction(value, at)
        return {
            take_path(name, at + escape(name)): direction(item, at + escape(name))
            for name, item in value.items()
        }

    return fields(value, at, required={"input": _in(scope), "sortBy": order})


def _take_date_part(value: object, at: str, scope: Scope) -> object:
    """A date, or ``{"date", "timezone"}``."""
    if isinstance(value, dict) and "date" in value:
        parts = _in(scope)
        return fields(value, at, required={"date": parts}, optional={"timezone": parts})
    if isinstance(value, list) and len(value) != 1:
        raise InvalidQuery.at(at, "This takes one date.")
    return take_expression(value, at, scope)


def _without_scope(take: Callable[[object, str], object]) -> TakeExpression:
    return lambda value, at, _scope: take(value, at)


_SPECIAL: dict[str, TakeExpression] = {
    "$literal": _without_scope(take_literal),
    "$let": _take_let,
    "$map": _take_each("in"),
    "$filter": _take_each("cond"),
    "$reduce": _take_reduce,
    "$cond": _take_condition,
    "$switch": _take_switch,
    "$getField": _take_get_field,
    "$setField": _take_set_field,
    "$unsetField": _take_unset_field,
    "$sortArray": _take_sort_array,
    "$meta": _without_scope(one_of("textScore")),
    "$rand": _without_scope(fields),
}
_SPECIAL.update(dict.fromkeys(DATE_PARTS, _take_date_part))
ALLOWED = frozenset({*_SPECIAL, *POSITIONAL, *NAMED})

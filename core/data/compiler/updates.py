"""Updates: operators over field paths, or a plain object, which sets its fields.

Source: https://www.mongodb.com/docs/v6.0/reference/operator/update/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from core.data.compiler.filters import take_filter, take_predicate
from core.data.compiler.grammar import (
    MAX_PATH,
    Take,
    check_bounds,
    escape,
    fields,
    integer,
    is_operators,
    is_wrapper,
    not_allowed,
    one_of,
    take_literal,
    take_literals,
    take_number,
    take_path,
)
from core.data.compiler.projections import check_no_overlap
from core.errors import InvalidQuery

_identifier = re.compile(r"[a-z][A-Za-z0-9]*").fullmatch
_place = re.compile(r"\$(\[([a-z][A-Za-z0-9]*)?\])?").fullmatch
_name = re.compile(r"[^$.\0][^.\0]*").fullmatch


@dataclass(frozen=True, slots=True)
class Update:
    """What goes to the driver: the update document, and its array filters."""

    update: dict[str, object]
    array_filters: list[dict[str, object]] | None


def compile_update(value: object) -> Update:
    """A client's update: operators with ``arrayFilters`` beside them, or fields to set.

    Raises InvalidQuery or OperatorNotAllowed; nothing can touch ``_id``.
    """
    check_bounds(value)
    if not isinstance(value, dict) or is_wrapper(value):
        raise InvalidQuery.at("", "An update is an object of operators, or of fields to set.")
    given = dict(value)
    filters = given.pop("arrayFilters", None) if any(n.startswith("$") for n in given) else None
    if not given:
        raise InvalidQuery.at("", "An update must change something.")
    if not is_operators(given, ""):
        return Update({"$set": _take_plain(given)}, None)
    update = {name: _take_operator(name, operand) for name, operand in given.items()}
    used = _check_paths(update)
    return Update(dict(update), _take_array_filters(filters, used))


def _take_plain(given: dict[str, object]) -> dict[str, object]:
    """Fields to set; the names are those of fields, so that a dot is one too many."""
    taken = {}
    for name, item in given.items():
        at = escape(name)
        taken[_take_path(name, at)] = take_literal(item, at)
    check_no_overlap(taken)
    return taken


def _take_operator(name: str, operand: object) -> dict[str, object]:
    at = escape(name)
    take = OPERATORS.get(name)
    if take is None:
        raise not_allowed(name, at)
    if not isinstance(operand, dict) or is_wrapper(operand) or not operand:
        raise InvalidQuery.at(at, f"{name} takes an object of fields.")
    return {
        _take_path(path, at + escape(path)): take(item, at + escape(path))
        for path, item in operand.items()
    }


def _take_path(path: object, at: str) -> str:
    """A path that may lead through arrays by ``$``, ``$[]`` or ``$[name]``, but not to the key."""
    parts = path.split(".") if isinstance(path, str) else [""]
    fits = len(str(path)) <= MAX_PATH and all(_name(part) or _place(part) for part in parts)
    if not fits or _place(parts[0]):
        raise InvalidQuery.at(at, "A field's path has a part that is empty or not allowed.")
    if parts[0] == "_id":
        raise InvalidQuery.at(at, "The key of a document cannot be changed.")
    return str(path)


def _check_paths(update: dict[str, dict[str, object]]) -> set[str]:
    """Raise InvalidQuery for paths in each other's way; returns the names of array filters."""
    paths: list[str] = []
    for name, operand in update.items():
        paths += operand
        if name == "$rename":
            paths += map(str, operand.values())
    check_no_overlap(paths)
    places = (_place(part) for path in paths for part in path.split("."))
    return {match[2] for match in places if match and match[2]}


def _take_array_filters(value: object, used: set[str]) -> list[dict[str, object]] | None:
    if value is None and not used:
        return None
    if not isinstance(value, list) or not value:
        raise InvalidQuery.at("/arrayFilters", "$[name] needs a list of arrayFilters.")
    filters = [take_filter(item, f"/arrayFilters/{index}") for index, item in enumerate(value)]
    named = [_filtered_name(item, f"/arrayFilters/{index}") for index, item in enumerate(filters)]
    if len(set(named)) < len(named) or set(named) != used:
        raise InvalidQuery.at("/arrayFilters", "Each $[name] needs one array filter on that name.")
    return filters


def _filtered_name(array_filter: dict[str, object], at: str) -> str:
    """The one name that a filter's paths begin with."""
    names: set[str] = set()
    pending: list[object] = [array_filter]
    while pending:
        item = pending.pop()
        for name, operand in item.items() if isinstance(item, dict) else ():
            if name in {"$and", "$or", "$nor"} and isinstance(operand, list):
                pending += operand
            else:
                names.add(name.partition(".")[0])
    (name,) = names if len(names) == 1 else ("",)
    if not _identifier(name):
        raise InvalidQuery.at(
            at, "An array filter is about one name: a small letter, then letters."
        )
    return name


def _take_target(value: object, at: str) -> str:
    path = take_path(value, at)
    if path.partition(".")[0] == "_id":
        raise InvalidQuery.at(at, "The key of a document cannot be changed.")
    return path


def _take_current_date(value: object, at: str) -> object:
    if value is True:
        return value
    return fields(value, at, required={"$type": one_of("date", "timestamp")})


def _take_push(value: object, at: str) -> object:
    if not is_operators(value, at):
        return take_literal(value, at)
    return fields(
        value,
        at,
        required={"$each": take_literals},
        optional={
            "$slice": integer(-(2**31), 2**31 - 1),
            "$position": integer(-(2**31), 2**31 - 1),
            "$sort": _take_order,
        },
    )


def _take_order(value: object, at: str) -> object:
    direction = one_of(1, -1)
    if not isinstance(value, dict) or not value:
        return direction(value, at)
    return {
        take_path(name, at + escape(name)): direction(item, at + escape(name))
        for name, item in value.items()
    }


def _take_add_to_set(value: object, at: str) -> object:
    if not is_operators(value, at):
        return take_literal(value, at)
    return fields(value, at, required={"$each": take_literals})


def _take_pull(value: object, at: str) -> object:
    """A value, operators on the elements, or a filter on elements that are objects."""
    if not isinstance(value, dict) or is_wrapper(value):
        return take_literal(value, at)
    return take_predicate(value, at) if is_operators(value, at) else take_filter(value, at)


def _take_bit(value: object, at: str) -> object:
    number = integer(-(2**63))
    taken = fields(value, at, optional=dict.fromkeys(("and", "or", "xor"), number))
    if not taken:
        raise InvalidQuery.at(at, "$bit takes and, or or xor.")
    return taken


def _take_unset(value: object, at: str) -> object:
    take_literal(value, at)
    return ""


OPERATORS: dict[str, Take | Callable[[object, str], object]] = {
    **dict.fromkeys(("$set", "$setOnInsert", "$min", "$max"), take_literal),
    **dict.fromkeys(("$inc", "$mul"), take_number),
    "$unset": _take_unset,
    "$rename": _take_target,
    "$currentDate": _take_current_date,
    "$push": _take_push,
    "$addToSet": _take_add_to_set,
    "$pull": _take_pull,
    "$pullAll": take_literals,
    "$pop": one_of(1, -1),
    "$bit": _take_bit,
}

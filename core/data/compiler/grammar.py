"""What all parts of the compiler share: bounds, field paths, literals, small operand types.

Each ``take_…`` function checks one operand and returns it as the driver gets it; ``at`` is the
JSON Pointer of the operand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bson import Binary

from core.data.encoding import decode_value, is_wrapper
from core.data.encoding.extended import escape
from core.errors import InvalidDocument, InvalidFieldName, InvalidQuery, OperatorNotAllowed

Take = Callable[[object, str], object]

MAX_DEPTH = 16
MAX_NODES = 1000
MAX_PATH = 1000
_path = re.compile(r"[^$.\0][^.\0]*(\.[^$.\0][^.\0]*)*").fullmatch
_NUMBER_WRAPPERS = {"$numberInt", "$numberLong", "$numberDouble", "$numberDecimal"}

__all__ = ["escape", "is_wrapper"]


def check_bounds(value: object) -> None:
    """Raise InvalidQuery over 16 levels or 1,000 values."""
    level: list[object] = [value]
    nodes = depth = 0
    while level:
        nodes += len(level)
        depth += any(isinstance(item, dict | list) for item in level)
        if nodes > MAX_NODES:
            raise InvalidQuery.at("", f"The query has more than {MAX_NODES} values.")
        if depth > MAX_DEPTH:
            raise InvalidQuery.at("", f"The query is nested more than {MAX_DEPTH} levels deep.")
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = below


def not_allowed(name: str, at: str) -> OperatorNotAllowed:
    """The error for an operator that is not on the list; ``at`` is where it stands."""
    return OperatorNotAllowed.at(at, f"{name[:100]} is not an operator that is allowed here.")


def take_path(value: object, at: str) -> str:
    """A dotted field path: no empty part, none that starts with ``$``, no NUL."""
    if not isinstance(value, str) or len(value) > MAX_PATH or not _path(value):
        raise InvalidQuery.at(at, "A field's path has a part that is empty or starts with '$'.")
    return value


def take_name(value: object, at: str) -> str:
    """The name of one field, without dots."""
    if "." in take_path(value, at):
        raise InvalidQuery.at(at, "This takes a field's name without dots.")
    return str(value)


def take_paths(value: object, at: str) -> list[str]:
    """A list of paths with at least one."""
    if not isinstance(value, list) or not value:
        raise InvalidQuery.at(at, "This takes a list of field paths.")
    return [take_path(item, f"{at}/{index}") for index, item in enumerate(value)]


def take_literal(value: object, at: str) -> object:
    """Any value that a document may hold; an operator inside is not one."""
    if not isinstance(value, dict | list):
        return value
    try:
        return decode_value(value, at)
    except InvalidDocument as error:
        (field,) = error.errors
        place = field.pointer or at
        if isinstance(error, InvalidFieldName) and place.rpartition("/")[2].startswith("$"):
            raise OperatorNotAllowed.at(place, field.detail) from None
        raise InvalidQuery.at(place, field.detail) from None


def take_literals(value: object, at: str) -> list[object]:
    """A list of such values."""
    if not isinstance(value, list):
        raise InvalidQuery.at(at, "This takes a list.")
    return [take_literal(item, f"{at}/{index}") for index, item in enumerate(value)]


def take_bool(value: object, at: str) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise InvalidQuery.at(at, "This takes true or false.")
    return value


def take_text(value: object, at: str) -> str:
    """A string without NUL."""
    if not isinstance(value, str) or "\0" in value:
        raise InvalidQuery.at(at, "This takes a string.")
    return value


def one_of(*values: object) -> Take:
    """Make a taker of one of these values, and nothing that is merely equal to one."""

    def take(value: object, at: str) -> object:
        for allowed in values:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise InvalidQuery.at(at, f"This takes one of: {', '.join(map(str, values))}.")

    return take


def integer(low: int, high: int = 2**63 - 1) -> Take:
    """Make a taker of whole numbers in a range; a typed one counts as the number it is."""

    def take(value: object, at: str) -> object:
        number = _unwrapped(value, at)
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            end = "" if high == 2**63 - 1 else f" to {high}"
            raise InvalidQuery.at(at, f"This takes a whole number from {low}{end}.")
        return number

    return take


def take_number(value: object, at: str) -> object:
    """Any number, typed or plain."""
    number = _unwrapped(value, at)
    if isinstance(value, dict | str | list | bool) and number is value:
        raise InvalidQuery.at(at, "This takes a number.")
    if number is None:
        raise InvalidQuery.at(at, "This takes a number.")
    return number


def _unwrapped(value: object, at: str) -> object:
    if is_wrapper(value) and isinstance(value, dict) and next(iter(value)) in _NUMBER_WRAPPERS:
        return take_literal(value, at)
    return value


def take_bits(value: object, at: str) -> object:
    """A bit mask: a whole number, a list of bit positions, or binary data."""
    if isinstance(value, list):
        position = integer(0, 2**31 - 1)
        return [position(item, f"{at}/{index}") for index, item in enumerate(value)]
    if is_wrapper(value) and isinstance(mask := take_literal(value, at), Binary):
        return mask
    return integer(0)(value, at)


def fields(
    value: object,
    at: str,
    *,
    required: Mapping[str, Take] = {},
    optional: Mapping[str, Take] = {},
) -> dict[str, object]:
    """An object with these members and no others."""
    if not isinstance(value, dict):
        raise InvalidQuery.at(at, "This takes an object.")
    taken: dict[str, object] = {}
    for name, item in value.items():
        take = required.get(name) or optional.get(name)
        place = at + escape(name)
        if take is None:
            if name.startswith("$"):
                raise not_allowed(name, place)
            raise InvalidQuery.at(place, f"{name[:100]} is not known here.")
        taken[name] = take(item, place)
    for name in required:
        if name not in taken:
            raise InvalidQuery.at(at, f"{name} is missing.")
    return taken


def is_operators(value: object, at: str) -> bool:
    """Whether an object consists of operators; mixed with fields it is InvalidQuery."""
    if not isinstance(value, dict) or not value or is_wrapper(value):
        return False
    marked = [name.startswith("$") for name in value]
    if any(marked) and not all(marked):
        raise InvalidQuery.at(at, "Operators and fields stand in one object.")
    return any(marked)

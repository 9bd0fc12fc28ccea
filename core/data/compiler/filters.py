"""Filters: MongoDB's query language, parsed against the list of operators.

Source: https://www.mongodb.com/docs/v6.0/reference/operator/query/
"""

from __future__ import annotations

from collections.abc import Mapping

from core.data.compiler.expressions import ROOT_SCOPE, Scope, take_expression
from core.data.compiler.grammar import (
    Take,
    check_bounds,
    escape,
    fields,
    integer,
    is_operators,
    is_wrapper,
    not_allowed,
    one_of,
    take_bits,
    take_bool,
    take_literal,
    take_literals,
    take_number,
    take_path,
    take_text,
)
from core.errors import InvalidQuery

MAX_PATTERN = 512
TYPES = frozenset(
    "double string object array binData undefined objectId bool date null regex dbPointer "
    "javascript symbol javascriptWithScope int timestamp long decimal minKey maxKey number".split()
)
TYPE_NUMBERS = frozenset({*range(1, 20), -1, 127})
LOGICAL = frozenset({"$and", "$or", "$nor"})


def compile_filter(value: object) -> dict[str, object]:
    """A client's filter as it goes to the driver; raises InvalidQuery or OperatorNotAllowed."""
    check_bounds(value)
    return take_filter(value, "")


def take_filter(value: object, at: str, scope: Scope = ROOT_SCOPE) -> dict[str, object]:
    """A filter inside something larger; ``scope`` holds the variables that ``$expr`` may use."""
    if not isinstance(value, dict) or is_wrapper(value):
        raise InvalidQuery.at(at, "A filter must be an object.")
    taken: dict[str, object] = {}
    for name, operand in value.items():
        place = at + escape(name)
        if not name.startswith("$"):
            taken[take_path(name, place)] = take_predicate(operand, place)
        elif name in LOGICAL:
            taken[name] = _take_filters(operand, place, scope)
        elif name == "$expr":
            taken[name] = take_expression(operand, place, scope)
        elif name == "$text":
            taken[name] = _take_text_search(operand, place)
        else:
            raise not_allowed(name, place)
    return taken


def _take_filters(value: object, at: str, scope: Scope) -> list[dict[str, object]]:
    if not isinstance(value, list) or not value:
        raise InvalidQuery.at(at, "This takes a list of filters.")
    return [take_filter(item, f"{at}/{index}", scope) for index, item in enumerate(value)]


def _take_text_search(value: object, at: str) -> dict[str, object]:
    return fields(
        value,
        at,
        required={"$search": take_text},
        optional={
            "$language": take_text,
            "$caseSensitive": take_bool,
            "$diacriticSensitive": take_bool,
        },
    )


def take_predicate(value: object, at: str) -> object:
    """What a field is compared with: operators, or a value it must equal."""
    if not is_operators(value, at):
        return take_literal(value, at)
    assert isinstance(value, dict)  # noqa: S101 - said by is_operators
    taken: dict[str, object] = {}
    for name, operand in value.items():
        take = OPERATORS.get(name)
        if take is None:
            raise not_allowed(name, at + escape(name))
        taken[name] = take(operand, at + escape(name))
    _check_companions(value, at)
    return taken


def _check_companions(value: Mapping[str, object], at: str) -> None:
    if "$options" in value and "$regex" not in value:
        raise InvalidQuery.at(f"{at}/$options", "$options stands beside $regex only.")
    for name in ("$maxDistance", "$minDistance"):
        if name in value and not value.keys() & {"$near", "$nearSphere"}:
            raise InvalidQuery.at(
                f"{at}/{name}", f"{name} stands beside $near or $nearSphere only."
            )


def _take_not(value: object, at: str) -> object:
    if not is_operators(value, at):
        raise InvalidQuery.at(at, "$not takes operators.")
    return take_predicate(value, at)


def _take_all(value: object, at: str) -> list[object]:
    if not isinstance(value, list):
        raise InvalidQuery.at(at, "$all takes a list.")
    return [
        {"$elemMatch": _take_element(item["$elemMatch"], f"{at}/{index}/$elemMatch")}
        if isinstance(item, dict) and list(item) == ["$elemMatch"]
        else take_literal(item, f"{at}/{index}")
        for index, item in enumerate(value)
    ]


def _take_element(value: object, at: str) -> object:
    """The operand of ``$elemMatch``: operators on the element, or a filter on its fields."""
    if not isinstance(value, dict) or is_wrapper(value):
        raise InvalidQuery.at(at, "$elemMatch takes an object.")
    if not value.keys() & LOGICAL and is_operators(value, at):
        return take_predicate(value, at)
    for name in ("$expr", "$text"):
        if name in value:
            raise not_allowed(name, f"{at}/{name}")
    return take_filter(value, at)


def _take_type(value: object, at: str) -> object:
    if isinstance(value, list) and value:
        return [_take_one_type(item, f"{at}/{index}") for index, item in enumerate(value)]
    return _take_one_type(value, at)


def _take_one_type(value: object, at: str) -> object:
    if isinstance(value, str) and value in TYPES:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value in TYPE_NUMBERS:
        return value
    raise InvalidQuery.at(at, "$type takes the name or number of a BSON type, or a list of them.")


def _take_mod(value: object, at: str) -> list[object]:
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidQuery.at(at, "$mod takes a list of a divisor and a remainder.")
    whole = integer(-(2**63))
    divisor, remainder = whole(value[0], f"{at}/0"), whole(value[1], f"{at}/1")
    if divisor == 0:
        raise InvalidQuery.at(f"{at}/0", "The divisor must not be zero.")
    return [divisor, remainder]


def _take_pattern(value: object, at: str) -> str:
    """A pattern; whether it is a valid one the database finds out."""
    pattern = take_text(value, at)
    if len(pattern) > MAX_PATTERN:
        raise InvalidQuery.at(at, f"A pattern is at most {MAX_PATTERN} characters.")
    return pattern


def _take_options(value: object, at: str) -> str:
    options = take_text(value, at)
    if set(options) - set("imsx"):
        raise InvalidQuery.at(at, "$options takes the letters i, m, s and x.")
    return options


def _take_coordinates(value: object, at: str) -> object:
    if isinstance(value, list):
        return [_take_coordinates(item, f"{at}/{index}") for index, item in enumerate(value)]
    return take_number(value, at)


def _take_geometries(value: object, at: str) -> object:
    if not isinstance(value, list):
        raise InvalidQuery.at(at, "This takes a list of geometries.")
    return [_take_geometry(item, f"{at}/{index}") for index, item in enumerate(value)]


def _take_geometry(value: object, at: str) -> dict[str, object]:
    return fields(
        value,
        at,
        required={
            "type": one_of(
                *("Point", "MultiPoint", "LineString", "MultiLineString"),
                *("Polygon", "MultiPolygon", "GeometryCollection"),
            )
        },
        optional={
            "coordinates": _take_coordinates,
            "geometries": _take_geometries,
            "crs": take_literal,
        },
    )


def _take_shape(value: object, at: str) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidQuery.at(at, "$geoWithin takes one shape.")
    plain = dict.fromkeys(("$box", "$center", "$centerSphere", "$polygon"), _take_coordinates)
    return fields(value, at, optional={"$geometry": _take_geometry, **plain})


def _take_intersects(value: object, at: str) -> dict[str, object]:
    return fields(value, at, required={"$geometry": _take_geometry})


def take_near(value: object, at: str) -> object:
    """A point to be near to: GeoJSON with distances, or a pair of coordinates."""
    if isinstance(value, list):
        return _take_coordinates(value, at)
    return fields(
        value,
        at,
        required={"$geometry": _take_geometry},
        optional={"$maxDistance": take_number, "$minDistance": take_number},
    )


def take_point(value: object, at: str) -> object:
    """A GeoJSON point, or a pair of coordinates."""
    return _take_coordinates(value, at) if isinstance(value, list) else _take_geometry(value, at)


OPERATORS: dict[str, Take] = {
    **dict.fromkeys(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"), take_literal),
    **dict.fromkeys(("$in", "$nin"), take_literals),
    "$not": _take_not,
    "$exists": take_bool,
    "$type": _take_type,
    "$all": _take_all,
    "$elemMatch": _take_element,
    "$size": integer(0, 2**31 - 1),
    "$mod": _take_mod,
    "$regex": _take_pattern,
    "$options": _take_options,
    **dict.fromkeys(("$bitsAllSet", "$bitsAnySet", "$bitsAllClear", "$bitsAnyClear"), take_bits),
    "$geoWithin": _take_shape,
    "$geoIntersects": _take_intersects,
    "$near": take_near,
    "$nearSphere": take_near,
    "$maxDistance": take_number,
    "$minDistance": take_number,
}

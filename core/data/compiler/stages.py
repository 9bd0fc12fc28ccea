"""Aggregation pipelines: the stages that read and reshape, and none that write or look around.

Source: https://www.mongodb.com/docs/v6.0/reference/operator/aggregation-pipeline/
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from core.data.compiler.expressions import (
    REDACT_SCOPE,
    ROOT_SCOPE,
    Scope,
    take_expression,
    take_variables,
)
from core.data.compiler.filters import take_filter, take_point
from core.data.compiler.gathering import take_order, take_outputs, take_windows
from core.data.compiler.grammar import (
    Take,
    check_bounds,
    escape,
    fields,
    integer,
    is_wrapper,
    not_allowed,
    one_of,
    take_bool,
    take_literal,
    take_literals,
    take_name,
    take_number,
    take_path,
    take_paths,
    take_text,
)
from core.data.names import check_collection
from core.errors import InvalidQuery

MAX_STAGES = 100


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Stages for the driver, and the collections that they join."""

    stages: list[dict[str, object]]
    collections: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Context:
    """Where a stage stands: the variables it may use, the joins found so far, its pipeline."""

    joined: set[str]
    scope: Scope = ROOT_SCOPE
    in_facet: bool = False
    index: int = field(default=0)

    def expression(self, value: object, at: str) -> object:
        return take_expression(value, at, self.scope)

    def filter(self, value: object, at: str) -> object:
        return take_filter(value, at, self.scope)

    def collection(self, value: object, at: str) -> str:
        name = check_collection(value, at)
        self.joined.add(name)
        return name


TakeStage = Callable[[object, str, _Context], object]


def compile_pipeline(value: object) -> Pipeline:
    """A client's pipeline; raises InvalidQuery, OperatorNotAllowed or InvalidCollection."""
    check_bounds(value)
    context = _Context(set())
    stages = _take_pipeline(value, "", context)
    return Pipeline(stages, frozenset(context.joined))


def _take_pipeline(value: object, at: str, context: _Context) -> list[dict[str, object]]:
    if not isinstance(value, list) or len(value) > MAX_STAGES:
        raise InvalidQuery.at(at, f"A pipeline is a list of at most {MAX_STAGES} stages.")
    return [
        _take_stage(stage, f"{at}/{index}", replace(context, index=index))
        for index, stage in enumerate(value)
    ]


def _take_stage(value: object, at: str, context: _Context) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) != 1:
        raise InvalidQuery.at(at, "A stage is an object with one operator.")
    ((name, operand),) = value.items()
    place = at + escape(name)
    take = STAGES.get(name)
    if take is None:
        raise not_allowed(name, place)
    return {name: take(operand, place, context)}


def _take_project(value: object, at: str, context: _Context) -> dict[str, object]:
    if not isinstance(value, dict) or not value or is_wrapper(value):
        raise InvalidQuery.at(at, "$project takes an object of fields.")
    return {
        take_path(name, at + escape(name)): _take_projected(item, at + escape(name), context)
        for name, item in value.items()
    }


def _take_projected(value: object, at: str, context: _Context) -> object:
    nested = isinstance(value, dict) and value and not is_wrapper(value)
    if nested and isinstance(value, dict) and not any(name.startswith("$") for name in value):
        return _take_project(value, at, context)
    return context.expression(value, at)


def _take_fields(value: object, at: str, context: _Context) -> dict[str, object]:
    if not isinstance(value, dict) or not value or is_wrapper(value):
        raise InvalidQuery.at(at, "This takes an object of fields.")
    return {
        take_path(name, at + escape(name)): context.expression(item, at + escape(name))
        for name, item in value.items()
    }


def _take_unset(value: object, at: str, context: _Context) -> object:
    return take_paths(value, at) if isinstance(value, list) else take_path(value, at)


def _take_group(value: object, at: str, context: _Context) -> dict[str, object]:
    if not isinstance(value, dict) or "_id" not in value:
        raise InvalidQuery.at(at, "$group takes an object with _id.")
    gathered = {name: item for name, item in value.items() if name != "_id"}
    return {
        "_id": context.expression(value["_id"], f"{at}/_id"),
        **take_outputs(gathered, at, context.scope),
    }


def _take_unwind(value: object, at: str, context: _Context) -> object:
    if isinstance(value, str):
        return _take_dollar_path(value, at)
    return fields(
        value,
        at,
        required={"path": _take_dollar_path},
        optional={"includeArrayIndex": take_path, "preserveNullAndEmptyArrays": take_bool},
    )


def _take_dollar_path(value: object, at: str) -> str:
    text = take_text(value, at)
    if not text.startswith("$"):
        raise InvalidQuery.at(at, "This takes a field's path with '$' before it.")
    return "$" + take_path(text[1:], at)


def _take_facet(value: object, at: str, context: _Context) -> dict[str, object]:
    if context.in_facet:
        raise InvalidQuery.at(at, "$facet cannot stand in another $facet.")
    if not isinstance(value, dict) or not value:
        raise InvalidQuery.at(at, "$facet takes an object of pipelines.")
    inner = replace(context, in_facet=True)
    return {
        take_name(name, at + escape(name)): _take_pipeline(item, at + escape(name), inner)
        for name, item in value.items()
    }


def _take_bucket(value: object, at: str, context: _Context) -> dict[str, object]:
    def output(value: object, at: str) -> object:
        return take_outputs(value, at, context.scope)

    return fields(
        value,
        at,
        required={"groupBy": context.expression, "boundaries": take_literals},
        optional={"default": take_literal, "output": output},
    )


def _take_bucket_auto(value: object, at: str, context: _Context) -> dict[str, object]:
    def output(value: object, at: str) -> object:
        return take_outputs(value, at, context.scope)

    return fields(
        value,
        at,
        required={"groupBy": context.expression, "buckets": integer(1, 2**31 - 1)},
        optional={"output": output, "granularity": take_text},
    )


def _take_lookup(value: object, at: str, context: _Context) -> dict[str, object]:
    scope = context.scope
    let: dict[str, object] | None = None
    if isinstance(value, dict) and "let" in value:
        let, scope = take_variables(value["let"], f"{at}/let", context.scope)
    inner = replace(context, scope=scope, in_facet=False)
    taken = fields(
        value,
        at,
        required={"from": context.collection, "as": take_path},
        optional={
            "localField": take_path,
            "foreignField": take_path,
            "let": lambda _value, _at: let,
            "pipeline": lambda value, at: _take_pipeline(value, at, inner),
        },
    )
    if not taken.keys() & {"pipeline", "localField"}:
        raise InvalidQuery.at(at, "$lookup needs localField and foreignField, or a pipeline.")
    if ("localField" in taken) != ("foreignField" in taken):
        raise InvalidQuery.at(at, "localField and foreignField stand together.")
    return taken


def _take_graph_lookup(value: object, at: str, context: _Context) -> dict[str, object]:
    return fields(
        value,
        at,
        required={
            "from": context.collection,
            "startWith": context.expression,
            "connectFromField": take_path,
            "connectToField": take_path,
            "as": take_path,
        },
        optional={
            "maxDepth": integer(0, 2**31 - 1),
            "depthField": take_path,
            "restrictSearchWithMatch": context.filter,
        },
    )


def _take_union(value: object, at: str, context: _Context) -> object:
    if isinstance(value, str):
        return context.collection(value, at)
    inner = replace(context, scope=ROOT_SCOPE, in_facet=False)
    return fields(
        value,
        at,
        required={"coll": context.collection},
        optional={"pipeline": lambda value, at: _take_pipeline(value, at, inner)},
    )


def _take_set_window_fields(value: object, at: str, context: _Context) -> dict[str, object]:
    return fields(
        value,
        at,
        required={"output": lambda value, at: take_windows(value, at, context.scope)},
        optional={"partitionBy": context.expression, "sortBy": take_order},
    )


def _take_densify(value: object, at: str, context: _Context) -> dict[str, object]:
    def bounds(value: object, at: str) -> object:
        if isinstance(value, list) and len(value) == 2:
            return take_literals(value, at)
        return one_of("full", "partition")(value, at)

    def range_(value: object, at: str) -> object:
        parts: dict[str, Take] = {"step": take_number, "bounds": bounds}
        return fields(value, at, required=parts, optional={"unit": take_text})

    return fields(
        value,
        at,
        required={"field": take_path, "range": range_},
        optional={"partitionByFields": take_paths},
    )


def _take_fill(value: object, at: str, context: _Context) -> dict[str, object]:
    def filling(value: object, at: str) -> object:
        if isinstance(value, dict) and "value" in value:
            return fields(value, at, required={"value": context.expression})
        return fields(value, at, required={"method": one_of("linear", "locf")})

    def output(value: object, at: str) -> object:
        if not isinstance(value, dict) or not value:
            raise InvalidQuery.at(at, "This takes an object of fields.")
        return {
            take_path(name, at + escape(name)): filling(item, at + escape(name))
            for name, item in value.items()
        }

    return fields(
        value,
        at,
        required={"output": output},
        optional={
            "partitionBy": context.expression,
            "partitionByFields": take_paths,
            "sortBy": take_order,
        },
    )


def _take_geo_near(value: object, at: str, context: _Context) -> dict[str, object]:
    if context.index > 0 or context.in_facet:
        raise InvalidQuery.at(at, "$geoNear must be the first stage.")
    return fields(
        value,
        at,
        required={"near": take_point, "distanceField": take_path},
        optional={
            **dict.fromkeys(("maxDistance", "minDistance", "distanceMultiplier"), take_number),
            "spherical": take_bool,
            "query": context.filter,
            "includeLocs": take_path,
            "key": take_path,
        },
    )


def _expression(value: object, at: str, context: _Context) -> object:
    return context.expression(value, at)


def _plain(take: Take) -> TakeStage:
    return lambda value, at, _context: take(value, at)


STAGES: dict[str, TakeStage] = {
    "$match": lambda value, at, context: context.filter(value, at),
    "$project": _take_project,
    "$addFields": _take_fields,
    "$set": _take_fields,
    "$unset": _take_unset,
    "$group": _take_group,
    "$sort": _plain(take_order),
    "$limit": _plain(integer(1)),
    "$skip": _plain(integer(0)),
    "$unwind": _take_unwind,
    "$count": _plain(take_name),
    "$facet": _take_facet,
    "$bucket": _take_bucket,
    "$bucketAuto": _take_bucket_auto,
    "$sortByCount": _expression,
    "$replaceRoot": lambda value, at, context: fields(
        value, at, required={"newRoot": context.expression}
    ),
    "$replaceWith": _expression,
    "$sample": _plain(lambda value, at: fields(value, at, required={"size": integer(1)})),
    "$lookup": _take_lookup,
    "$graphLookup": _take_graph_lookup,
    "$unionWith": _take_union,
    "$setWindowFields": _take_set_window_fields,
    "$densify": _take_densify,
    "$fill": _take_fill,
    "$geoNear": _take_geo_near,
    "$redact": lambda value, at, context: take_expression(value, at, context.scope | REDACT_SCOPE),
}

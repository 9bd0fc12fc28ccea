"""The query compiler: what it takes, what it refuses, and that nothing else gets through."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data import client
from core.data.compiler import (
    Update,
    compile_filter,
    compile_pipeline,
    compile_projection,
    compile_sort,
    compile_update,
)
from core.data.compiler.expressions import ALLOWED as EXPRESSIONS
from core.data.compiler.filters import OPERATORS as FILTERS
from core.data.compiler.operators import (
    ACCUMULATORS,
    NAMED_ACCUMULATORS,
    RANKS,
    SORTED_ACCUMULATORS,
    WINDOW_NAMED,
    WINDOW_PAIRS,
    WINDOW_SINGLE,
)
from core.data.compiler.stages import STAGES
from core.data.compiler.updates import OPERATORS as UPDATES
from core.errors import CoglexError, InvalidInput, InvalidQuery, OperatorNotAllowed

POINT = {"type": "Point", "coordinates": [1, 2]}
SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [0, 9], [9, 9], [0, 0]]]}

GOOD_FILTERS: list[dict[str, Any]] = [
    {},
    {"a": 1},
    {"a.b.0.c": None},
    {"a": {}},
    {"a": {"b": {"c": [1, {"d": 2}]}}},
    {"a": "$b"},
    *({"a": {name: 5}} for name in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")),
    {"a": {"$gt": {"x": 1}, "$lt": [1]}},
    {"a": {"$in": [1, "x", None, {"b": 1}]}},
    {"a": {"$nin": []}},
    {"$and": [{"a": 1}, {"$or": [{"b": 1}, {"$nor": [{"c": 1}]}]}]},
    {"a": {"$not": {"$gt": 5}}},
    {"a": {"$not": {"$regex": "^x"}}},
    {"a": {"$exists": True}},
    {"a": {"$type": "string"}},
    {"a": {"$type": 2}},
    {"a": {"$type": ["int", "number", -1, 127]}},
    {"a": {"$all": [1, 2]}},
    {"a": {"$all": [{"$elemMatch": {"b": {"$gt": 1}}}]}},
    {"a": {"$elemMatch": {"$gte": 1, "$lt": 5}}},
    {"a": {"$elemMatch": {"b": 1, "$or": [{"c": 1}, {"d": 2}]}}},
    {"a": {"$size": 0}},
    {"a": {"$mod": [4, 0]}},
    {"a": {"$regex": "^a.*b$", "$options": "imsx"}},
    {"$expr": {"$gt": ["$a", {"$multiply": ["$b", 2]}]}},
    {"a": {"$bitsAllSet": 5}},
    {"a": {"$bitsAnySet": [0, 5]}},
    {"a": {"$bitsAllClear": 0}},
    {"a": {"$bitsAnyClear": [1]}},
    {"g": {"$geoWithin": {"$geometry": SQUARE}}},
    {"g": {"$geoWithin": {"$box": [[0, 0], [1, 1]]}}},
    {"g": {"$geoWithin": {"$center": [[0, 0], 1]}}},
    {"g": {"$geoWithin": {"$centerSphere": [[0, 0], 0.1]}}},
    {"g": {"$geoWithin": {"$polygon": [[0, 0], [1, 1], [0, 1]]}}},
    {"g": {"$geoIntersects": {"$geometry": POINT}}},
    {"g": {"$near": {"$geometry": POINT, "$maxDistance": 5, "$minDistance": 1}}},
    {"g": {"$nearSphere": {"$geometry": POINT}}},
    {"l": {"$near": [1, 2], "$maxDistance": 1}},
    {"l": {"$nearSphere": [1, 2], "$minDistance": 1}},
    {"$text": {"$search": "tea", "$caseSensitive": True, "$diacriticSensitive": False}},
    {"$text": {"$search": "tea", "$language": "en"}},
]

E1 = "$a"
GOOD_EXPRESSIONS: list[Any] = [
    *(
        {name: E1}
        for name in (
            "$abs $ceil $exp $floor $ln $log10 $sqrt $sin $cos $tan $asin $acos $atan $sinh $cosh "
            "$tanh $asinh $acosh $atanh $degreesToRadians $radiansToDegrees $arrayToObject "
            "$objectToArray $reverseArray $size $isArray $allElementsTrue $anyElementTrue $not "
            "$strLenBytes $strLenCP $toLower $toUpper $type $isNumber $toBool $toDate $toDecimal "
            "$toDouble $toInt $toLong $toObjectId $toString $binarySize $bsonSize $tsIncrement "
            "$tsSecond $dayOfMonth $dayOfWeek $dayOfYear $hour $isoDayOfWeek $isoWeek $isoWeekYear "
            "$millisecond $minute $month $second $week $year"
        ).split()
    ),
    *(
        {name: [E1, 1]}
        for name in (
            "$divide $log $mod $pow $atan2 $arrayElemAt $in $setDifference $setIsSubset $cmp $eq $ne "
            "$gt $gte $lt $lte $split $strcasecmp $subtract $round $trunc $range $slice $indexOfArray "
            "$indexOfBytes $indexOfCP $setEquals $ifNull $add $multiply $and $or $concat "
            "$concatArrays $setIntersection $setUnion $mergeObjects $sum $avg $min $max $stdDevPop "
            "$stdDevSamp"
        ).split()
    ),
    {"$first": E1},
    {"$last": [E1]},
    *({name: [E1, 0, 1]} for name in ("$substr", "$substrBytes", "$substrCP")),
    {"$convert": {"input": E1, "to": "int", "onError": 0, "onNull": None}},
    {"$dateAdd": {"startDate": "$$NOW", "unit": "day", "amount": 1, "timezone": "UTC"}},
    {"$dateSubtract": {"startDate": "$$NOW", "unit": "day", "amount": 1}},
    {"$dateDiff": {"startDate": "$$NOW", "endDate": "$$NOW", "unit": "day"}},
    {"$dateTrunc": {"date": "$$NOW", "unit": "week", "binSize": 2, "startOfWeek": "monday"}},
    {"$dateFromParts": {"year": 2020, "month": 1}},
    {"$dateFromString": {"dateString": "2020-01-01", "onError": None}},
    {"$dateToParts": {"date": "$$NOW", "iso8601": True}},
    {"$dateToString": {"date": "$$NOW", "format": "%Y"}},
    {"$hour": {"date": "$$NOW", "timezone": "Europe/Berlin"}},
    *({name: {"n": 2, "input": E1}} for name in ("$firstN", "$lastN", "$maxN", "$minN")),
    *({name: {"input": E1, "chars": "x"}} for name in ("$trim", "$ltrim", "$rtrim")),
    *(
        {name: {"input": E1, "regex": "a", "options": "i"}}
        for name in ("$regexFind", "$regexFindAll", "$regexMatch")
    ),
    *(
        {name: {"input": E1, "find": "a", "replacement": "b"}}
        for name in ("$replaceOne", "$replaceAll")
    ),
    {"$zip": {"inputs": [[1], [2]], "useLongestLength": True, "defaults": [0, 0]}},
    {"$literal": "$x"},
    {"$let": {"vars": {"x": 1}, "in": {"$add": ["$$x", 1]}}},
    {"$map": {"input": [1], "as": "i", "in": {"$add": ["$$i", 1]}}},
    {"$map": {"input": [1], "in": "$$this"}},
    {"$filter": {"input": [1], "as": "i", "cond": {"$gt": ["$$i", 0]}, "limit": 1}},
    {"$reduce": {"input": [1], "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}},
    {"$cond": [True, 1, 2]},
    {"$cond": {"if": True, "then": "$$REMOVE", "else": 2}},
    {"$switch": {"branches": [{"case": True, "then": 1}], "default": 2}},
    {"$getField": "a"},
    {"$getField": {"field": "a", "input": "$$ROOT"}},
    {"$setField": {"field": "a", "input": "$$ROOT", "value": 1}},
    {"$unsetField": {"field": "a", "input": "$$CURRENT"}},
    {"$sortArray": {"input": [2, 1], "sortBy": 1}},
    {"$sortArray": {"input": [{"x": 1}], "sortBy": {"x": -1}}},
    {"$rand": {}},
    {"x": "$a.b", "y": ["$$ROOT.a", 1, "text"]},
    {"$meta": "textScore"},
]
# These need data of their type to run; that they compile is enough.
TYPED = {
    *"$dayOfMonth $dayOfWeek $dayOfYear $hour $isoDayOfWeek $isoWeek $isoWeekYear $millisecond "
    "$minute $month $second $week $year $tsIncrement $tsSecond $arrayToObject $objectToArray "
    "$reverseArray $size $allElementsTrue $anyElementTrue $in $setDifference $setIsSubset "
    "$setEquals $setIntersection $setUnion $concat $concatArrays $split $mergeObjects $range "
    "$slice $indexOfArray $indexOfBytes $indexOfCP $strLenBytes $strLenCP $toDate $toObjectId "
    "$binarySize $bsonSize $arrayElemAt $firstN $lastN $maxN $minN $trim $ltrim $rtrim "
    "$regexFind $regexFindAll $regexMatch $replaceOne $replaceAll $meta $ln $log $log10 $sqrt "
    "$acos $asin $acosh $atanh $first $last".split()
}

GOOD_STAGES: list[dict[str, Any]] = [
    {"$match": {"a": {"$gt": 1}}},
    {"$project": {"a": 1, "b.c": {"$add": ["$a", 1]}, "d": {"e": 1}, "_id": 0}},
    {"$addFields": {"x": {"$literal": 1}}},
    {"$set": {"x.y": "$a"}},
    {"$unset": "a"},
    {"$unset": ["a", "b.c"]},
    {"$group": {"_id": None, "n": {"$sum": 1}, "m": {"$count": {}}}},
    {
        "$group": {
            "_id": {"x": "$a"},
            **{
                f"f{i}": {name: "$a"}
                for i, name in enumerate(sorted(ACCUMULATORS - {"$mergeObjects"}))
            },
        }
    },
    {"$group": {"_id": 1, "m": {"$mergeObjects": "$o"}}},
    {
        "$group": {
            "_id": 1,
            "a": {"$firstN": {"n": 1, "input": "$a"}},
            "b": {"$lastN": {"n": 1, "input": "$a"}},
            "c": {"$maxN": {"n": 1, "input": "$a"}},
            "d": {"$minN": {"n": 1, "input": "$a"}},
            "e": {"$top": {"output": "$a", "sortBy": {"a": 1}}},
            "f": {"$bottom": {"output": "$a", "sortBy": {"a": 1}}},
            "g": {"$topN": {"n": 2, "output": "$a", "sortBy": {"a": 1}}},
            "h": {"$bottomN": {"n": 2, "output": "$a", "sortBy": {"a": 1}}},
        }
    },
    {"$sort": {"a": 1, "b": -1}},
    {"$limit": 5},
    {"$skip": 0},
    {"$unwind": "$list"},
    {"$unwind": {"path": "$l", "includeArrayIndex": "i", "preserveNullAndEmptyArrays": True}},
    {"$count": "n"},
    {"$facet": {"x": [{"$limit": 1}], "y": [{"$count": "n"}]}},
    {
        "$bucket": {
            "groupBy": "$a",
            "boundaries": [0, 5],
            "default": "other",
            "output": {"n": {"$sum": 1}},
        }
    },
    {"$bucketAuto": {"groupBy": "$a", "buckets": 2, "output": {"n": {"$sum": 1}}}},
    {"$sortByCount": "$a"},
    {"$replaceRoot": {"newRoot": {"x": "$a"}}},
    {"$replaceWith": {"$mergeObjects": [{"a": 0}, "$$ROOT"]}},
    {"$sample": {"size": 2}},
    {"$lookup": {"from": "other", "localField": "a", "foreignField": "b", "as": "x"}},
    {
        "$lookup": {
            "from": "other",
            "let": {"v": "$a"},
            "as": "x",
            "pipeline": [{"$match": {"$expr": {"$eq": ["$b", "$$v"]}}}],
        }
    },
    {
        "$graphLookup": {
            "from": "other",
            "startWith": "$a",
            "connectFromField": "b",
            "connectToField": "c",
            "as": "x",
            "maxDepth": 2,
            "depthField": "d",
            "restrictSearchWithMatch": {"y": 1},
        }
    },
    {"$unionWith": "other"},
    {"$unionWith": {"coll": "other", "pipeline": [{"$limit": 1}]}},
    {
        "$setWindowFields": {
            "partitionBy": "$a",
            "sortBy": {"b": 1},
            "output": {
                "r": {"$rank": {}},
                "d": {"$denseRank": {}},
                "n": {"$documentNumber": {}},
                "s": {"$sum": "$a", "window": {"documents": ["unbounded", "current"]}},
                "h": {"$shift": {"output": "$a", "by": -1, "default": 0}},
                "e": {"$expMovingAvg": {"input": "$a", "N": 2}},
            },
        }
    },
    {
        "$setWindowFields": {
            "sortBy": {"b": 1},
            "output": {
                "c": {"$covariancePop": ["$a", "$b"], "window": {"documents": [-1, 1]}},
                "p": {"$covarianceSamp": ["$a", "$b"]},
                "i": {"$integral": {"input": "$a"}, "window": {"range": [-1, 1]}},
                "d": {"$derivative": {"input": "$a"}, "window": {"documents": [-1, 0]}},
                "l": {"$linearFill": "$a"},
                "o": {"$locf": "$a"},
                "k": {"$count": {}},
            },
        }
    },
    {"$densify": {"field": "a", "range": {"step": 1, "bounds": "full"}}},
    {
        "$densify": {
            "field": "a",
            "partitionByFields": ["b"],
            "range": {"step": 1, "bounds": [0, 3]},
        }
    },
    {"$fill": {"sortBy": {"a": 1}, "output": {"b": {"method": "linear"}, "c": {"value": 0}}}},
    {
        "$fill": {
            "sortBy": {"a": 1},
            "partitionByFields": ["c"],
            "output": {"b": {"method": "locf"}},
        }
    },
    {
        "$geoNear": {
            "near": POINT,
            "distanceField": "d",
            "spherical": True,
            "maxDistance": 9,
            "query": {"a": 1},
            "includeLocs": "l",
            "key": "g",
        }
    },
    {"$redact": {"$cond": [{"$eq": ["$a", 1]}, "$$PRUNE", "$$DESCEND"]}},
]

GOOD_UPDATES: list[dict[str, Any]] = [
    {"a": 1, "b.c": {"d": 1}},
    {"$set": {"a": 1}, "$unset": {"b": ""}, "$inc": {"c": 1, "d": 1.5}, "$mul": {"e": 2}},
    {"$min": {"a": 1}, "$max": {"b": 1}, "$rename": {"c": "d"}, "$setOnInsert": {"e": 1}},
    {"$currentDate": {"a": True, "b": {"$type": "date"}, "c": {"$type": "timestamp"}}},
    {"$push": {"l": 1}},
    {"$push": {"l": {"$each": [3, 1], "$slice": -5, "$sort": 1, "$position": 0}}},
    {"$push": {"l": {"$each": [{"x": 1}], "$sort": {"x": -1}}}},
    {"$addToSet": {"l": 1}},
    {"$addToSet": {"l": {"$each": [1, 2]}}},
    {"$pull": {"l": 1}},
    {"$pull": {"l": {"$gte": 1}}},
    {"$pull": {"l": {"x": {"$gt": 1}, "y": 2}}},
    {"$pullAll": {"l": [1, 2]}},
    {"$pop": {"l": -1}},
    {"$bit": {"n": {"and": 5, "or": 1, "xor": 2}}},
    {"$set": {"l.$[]": 1}},
    {"$set": {"l.$[x]": 1}, "arrayFilters": [{"x": {"$gt": 1}}]},
    {
        "$set": {"l.$[x].a": 1, "l.$[y].b": 1},
        "arrayFilters": [{"x.a": 1}, {"$or": [{"y.b": 1}, {"y.c": 2}]}],
    },
    {"$inc": {"a": {"$numberLong": "5"}, "b": {"$numberDecimal": "1.5"}}},
]


def ids(values):
    return [json.dumps(value, ensure_ascii=True)[:60] for value in values]


@pytest.fixture(scope="module")
def server(mongodb):
    """A collection that the accepted examples can run on."""
    target = client.documents("compiled")
    target.insert_one({"a": 1, "b": 2, "list": [1], "l": [1, 2], "o": {"x": 1}, "g": POINT})
    target.create_index([("g", "2dsphere")])
    target.create_index([("a", "text")])
    yield target
    target.drop()


@pytest.mark.parametrize("query", GOOD_FILTERS, ids=ids(GOOD_FILTERS))
def test_every_allowed_filter_compiles_and_runs(server, query):
    compiled = compile_filter(query)
    assert compiled == query
    if "l" not in query:
        list(server.find(compiled))


@pytest.mark.parametrize("expression", GOOD_EXPRESSIONS, ids=ids(GOOD_EXPRESSIONS))
def test_every_allowed_expression_compiles_and_runs(server, expression):
    compiled = compile_pipeline([{"$addFields": {"x": expression}}]).stages
    assert compiled == [{"$addFields": {"x": expression}}]
    if not set(expression) & TYPED:
        list(server.aggregate(compiled))
    assert compile_filter({"$expr": expression}) == {"$expr": expression}


@pytest.mark.parametrize("stage", GOOD_STAGES, ids=ids(GOOD_STAGES))
def test_every_allowed_stage_compiles_and_runs(server, stage):
    compiled = compile_pipeline([stage])
    assert compiled.stages == [stage]
    list(server.aggregate(compiled.stages))


@pytest.mark.parametrize("update", GOOD_UPDATES, ids=ids(GOOD_UPDATES))
def test_every_allowed_update_compiles_and_runs(server, update):
    compiled = compile_update(update)
    server.insert_one({"_id": "u", "l": [{"x": 1, "a": 1, "b": 1}], "n": 1, "c": 1})
    if "$push" in update or "$addToSet" in update:
        server.update_one({"_id": "u"}, {"$set": {"l": []}})
    try:
        server.update_one({"_id": "u"}, compiled.update, array_filters=compiled.array_filters)
    finally:
        server.delete_one({"_id": "u"})


def keys_of(examples):
    found = set()

    def visit(value):
        if isinstance(value, dict):
            found.update(key for key in value if key.startswith("$"))
            for item in value.values():
                visit(item)
        elif isinstance(value, list):
            for item in value:
                visit(item)

    visit(examples)
    return found


def test_no_operator_on_the_lists_is_without_an_example():
    assert set(FILTERS) <= keys_of(GOOD_FILTERS)
    assert keys_of(GOOD_EXPRESSIONS) >= EXPRESSIONS
    assert set(STAGES) <= keys_of(GOOD_STAGES)
    assert set(UPDATES) <= keys_of(GOOD_UPDATES)
    gathered = {*ACCUMULATORS, *NAMED_ACCUMULATORS, *SORTED_ACCUMULATORS}
    assert gathered | RANKS | WINDOW_SINGLE | WINDOW_PAIRS | set(WINDOW_NAMED) <= keys_of(
        GOOD_STAGES
    )


def test_the_lists_are_those_that_the_api_promises():
    assert set(STAGES) == set(
        "$match $project $addFields $set $unset $group $sort $limit $skip $unwind $count $facet "
        "$bucket $bucketAuto $sortByCount $replaceRoot $replaceWith $sample $lookup $graphLookup "
        "$unionWith $setWindowFields $densify $fill $geoNear $redact".split()
    )
    assert set(UPDATES) == set(
        "$set $unset $inc $mul $min $max $rename $currentDate $setOnInsert $push $addToSet $pull "
        "$pullAll $pop $bit".split()
    )
    assert {*FILTERS, "$and", "$or", "$nor", "$expr", "$text"} == set(
        "$eq $ne $gt $gte $lt $lte $in $nin $and $or $nor $not $exists $type $all $elemMatch "
        "$size $mod $regex $options $text $expr $bitsAllSet $bitsAnySet $bitsAllClear "
        "$bitsAnyClear $geoWithin $geoIntersects $near $nearSphere $maxDistance "
        "$minDistance".split()
    )


FORBIDDEN = (
    "$where $function $accumulator $out $merge $currentOp $listSessions $collStats $indexStats "
    "$planCacheStats $changeStream $jsonSchema $comment $sampleRate $documents $search "
    "$listLocalSessions $unknown $ $GT $eq\0".split(" ")
)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_forbidden_operator_is_found_wherever_it_stands(name):
    bad: dict[str, Any] = {name: "x"}
    places = [
        (compile_filter, bad, ""),
        (compile_filter, {"a": bad}, "/a"),
        (compile_filter, {"a": {"$gt": 1, name: "x"}}, "/a"),
        (compile_filter, {"ok": 1, "$and": [{"a": 1}, bad]}, "/$and/1"),
        (compile_filter, {"$or": [{"$nor": [{"a": {"$not": bad}}]}]}, "/$or/0/$nor/0/a/$not"),
        (compile_filter, {"a": {"$elemMatch": {"b": bad}}}, "/a/$elemMatch/b"),
        (compile_filter, {"a": {"$elemMatch": {"$and": [bad]}}}, "/a/$elemMatch/$and/0"),
        (compile_filter, {"a": {"$all": [{"$elemMatch": {"b": bad}}]}}, "/a/$all/0/$elemMatch/b"),
        (compile_filter, {"a": {"$in": [[bad]]}}, "/a/$in/0/0"),
        (compile_filter, {"a": [[{"b": [bad]}]]}, "/a/0/0/b/0"),
        (compile_filter, {"a": {"$eq": {"b": bad}}}, "/a/$eq/b"),
        (compile_filter, {"$expr": bad}, "/$expr"),
        (compile_filter, {"$expr": {"$and": ["$a", {"$add": [1, bad]}]}}, "/$expr/$and/1/$add/1"),
        (compile_filter, {"$expr": {"x": [bad]}}, "/$expr/x/0"),
        (compile_filter, {"$expr": {"$literal": bad}}, "/$expr/$literal"),
        (
            compile_filter,
            {"$expr": {"$let": {"vars": {"v": bad}, "in": 1}}},
            "/$expr/$let/vars/v",
        ),
        (compile_pipeline, [bad], "/0"),
        (compile_pipeline, [{"$match": bad}], "/0/$match"),
        (compile_pipeline, [{"$facet": {"a": [bad]}}], "/0/$facet/a/0"),
        (
            compile_pipeline,
            [{"$facet": {"a": [{"$match": {"b": bad}}]}}],
            "/0/$facet/a/0/$match/b",
        ),
        (
            compile_pipeline,
            [{"$lookup": {"from": "a", "as": "b", "pipeline": [{"$limit": 1}, bad]}}],
            "/0/$lookup/pipeline/1",
        ),
        (compile_pipeline, [{"$unionWith": {"coll": "a", "pipeline": [bad]}}], "/0/$unionWith/pipeline/0"),
        (compile_pipeline, [{"$project": {"a": bad}}], "/0/$project/a"),
        (compile_pipeline, [{"$project": {"a": {"b": bad}}}], "/0/$project/a/b"),
        (compile_pipeline, [{"$group": {"_id": bad}}], "/0/$group/_id"),
        (compile_pipeline, [{"$group": {"_id": 1, "a": bad}}], "/0/$group/a"),
        (compile_pipeline, [{"$group": {"_id": 1, "a": {"$sum": bad}}}], "/0/$group/a/$sum"),
        (
            compile_pipeline,
            [{"$setWindowFields": {"output": {"a": {"$sum": bad}}}}],
            "/0/$setWindowFields/output/a/$sum",
        ),
        (
            compile_pipeline,
            [{"$graphLookup": {"from": "a", "startWith": bad, "connectFromField": "a",
                               "connectToField": "a", "as": "x"}}],
            "/0/$graphLookup/startWith",
        ),
        (
            compile_pipeline,
            [{"$geoNear": {"near": [1, 2], "distanceField": "d", "query": bad}}],
            "/0/$geoNear/query",
        ),
        (compile_update, {"$set": {"a": bad}}, "/$set/a"),
        (compile_update, {"$pull": {"a": bad}}, "/$pull/a"),
        (compile_update, {"$pull": {"a": {"b": bad}}}, "/$pull/a/b"),
        (compile_update, {"a": {"b": [bad]}}, "/a/b/0"),
        (
            compile_update,
            {"$set": {"a.$[x]": 1}, "arrayFilters": [{"x": bad}]},
            "/arrayFilters/0/x",
        ),
    ]  # fmt: skip
    for compile_, value, pointer in places:
        with pytest.raises(InvalidQuery) as caught:
            compile_(value)
        assert caught.value.errors[0].pointer == f"{pointer}/{name}", value


@pytest.mark.parametrize(
    "text", ["$$CLUSTER_TIME", "$$USER_ROLES", "$$SEARCH_META", "$$x", "$$", "$$DESCEND", "$$.a"]
)
def test_only_known_variables_are_taken(text):
    for value in (
        {"$expr": text},
        {"$expr": {"$add": [1, f"{text}.b"]}},
        {"$expr": {"$let": {"vars": {"y": text}, "in": 1}}},
        {"$expr": {"$map": {"input": [], "as": "y", "in": text}}},
    ):
        with pytest.raises(OperatorNotAllowed):
            compile_filter(value)


def test_variables_end_with_what_binds_them():
    with pytest.raises(OperatorNotAllowed):
        compile_filter({"$expr": {"$and": [{"$let": {"vars": {"x": 1}, "in": "$$x"}}, "$$x"]}})
    with pytest.raises(InvalidQuery):
        compile_filter({"$expr": {"$let": {"vars": {"ROOT": 1}, "in": 1}}})


@pytest.mark.parametrize(
    "query",
    [
        [],
        5,
        "x",
        None,
        {"$oid": "0" * 24},
        {"$and": []},
        {"$and": {}},
        {"$and": [5]},
        {"$or": "x"},
        {"a": {"$in": 5}},
        {"a": {"$in": {"0": 1}}},
        {"a": {"$exists": 1}},
        {"a": {"$exists": "true"}},
        {"a": {"$size": -1}},
        {"a": {"$size": 1.5}},
        {"a": {"$size": True}},
        {"a": {"$mod": [0, 1]}},
        {"a": {"$mod": [1]}},
        {"a": {"$mod": [1, "x"]}},
        {"a": {"$type": "nothing"}},
        {"a": {"$type": []}},
        {"a": {"$type": True}},
        {"a": {"$type": 99}},
        {"a": {"$not": 5}},
        {"a": {"$not": {}}},
        {"a": {"$not": {"b": 1}}},
        {"a": {"$all": 5}},
        {"a": {"$elemMatch": 5}},
        {"a": {"$elemMatch": {"$text": {"$search": "x"}}}},
        {"a": {"$elemMatch": {"b": 1, "$expr": {}}}},
        {"a": {"$regex": 5}},
        {"a": {"$regex": "x" * 513}},
        {"a": {"$regex": "a\0"}},
        {"a": {"$regex": {"a": 1}}},
        {"a": {"$regex": "a", "$options": {"a": 1}}},
        {"a": {"$regex": "a", "$options": "q"}},
        {"a": {"$options": "i"}},
        {"a": {"$gt": 1, "b": 2}},
        {"a": {"b": 1, "$gt": 2}},
        {"a": {"$bitsAllSet": -1}},
        {"a": {"$bitsAllSet": [1.5]}},
        {"a": {"$maxDistance": 1}},
        {"a": {"$geoWithin": {}}},
        {"a": {"$geoWithin": {"$where": 1}}},
        {"a": {"$near": {"$geometry": {"type": "Spot", "coordinates": [1, 2]}}}},
        {"": 1},
        {"a..b": 1},
        {"a.$b": 1},
        {"a\0": 1},
        {"a" * 1001: 1},
        {"$text": {"$search": 5}},
        {"$text": {}},
        {"$expr": {"$add": [1], "$sum": [1]}},
        {"$expr": {"$divide": [1]}},
        {"$expr": {"$substr": ["a"]}},
        {"$expr": {"$cond": [1]}},
        {"$expr": {"$getField": {"$concat": ["$", "a"]}}},
        {"$expr": {"$getField": {"field": {"$literal": "$a"}, "input": "$$ROOT"}}},
        {"$expr": "$"},
        {"$expr": "$a..b"},
        {"$expr": "$a.$b"},
        {"$expr": {"a.b": 1}},
        {"a": {"$date": "x"}},
    ],
)
def test_a_wrong_operand_is_refused(query):
    with pytest.raises(InvalidQuery):
        compile_filter(query)


@pytest.mark.parametrize(
    "pipeline",
    [
        {},
        5,
        [5],
        [{}],
        [{"$match": {}, "$limit": 1}],
        [{"$limit": 0}],
        [{"$limit": "1"}],
        [{"$skip": -1}],
        [{"$sample": {"size": 0}}],
        [{"$count": "$a"}],
        [{"$count": ""}],
        [{"$unwind": "a"}],
        [{"$unset": []}],
        [{"$unset": "$a"}],
        [{"$project": {}}],
        [{"$project": {"$a": 1}}],
        [{"$group": {}}],
        [{"$group": {"_id": 1, "a": 5}}],
        [{"$group": {"_id": 1, "a": {"$rank": {}}}}],
        [{"$group": {"_id": 1, "a.b": {"$sum": 1}}}],
        [{"$sort": {}}],
        [{"$sort": {"a": {"$meta": "textScore"}}}],
        [{"$facet": {"a": [{"$facet": {"b": []}}]}}],
        [{"$facet": {"a": [{"$geoNear": {"near": [1, 1], "distanceField": "d"}}]}}],
        [{"$limit": 1}, {"$geoNear": {"near": [1, 1], "distanceField": "d"}}],
        [{"$lookup": {"from": {"db": "coglex_internal", "coll": "users"}, "as": "x",
                      "pipeline": []}}],
        [{"$lookup": {"from": "a", "as": "x"}}],
        [{"$lookup": {"from": "a", "as": "x", "localField": "a"}}],
        [{"$lookup": {"as": "x", "pipeline": []}}],
        [{"$lookup": {"from": "a", "as": "$x", "pipeline": []}}],
        [{"$lookup": {"from": "a", "as": "x", "let": {"V": 1}, "pipeline": []}}],
        [{"$lookup": {"from": "a", "as": "x", "let": {"v": {"$function": 1}}, "pipeline": []}}],
        [{"$unionWith": {"coll": "a", "db": "coglex_internal"}}],
        [{"$unionWith": {}}],
        [{"$densify": {"field": "a", "range": {"step": 1, "bounds": "all"}}}],
        [{"$fill": {"output": {"a": {"method": "best"}}}}],
        [{"$setWindowFields": {"output": {"a": {"$sum": 1, "$avg": 1}}}}],
        [{"$setWindowFields": {"output": {"a": {"$sum": 1,
                                                "window": {"documents": [{"$a": 1}, 1]}}}}}],
        [{"$limit": 1}] * 101,
    ],
)  # fmt: skip
def test_a_wrong_pipeline_is_refused(pipeline):
    with pytest.raises(InvalidInput):
        compile_pipeline(pipeline)


@pytest.mark.parametrize("name", ["system.users", "a$b", "", "a..b", "Ä", 5])
def test_joined_collections_follow_the_rules_of_paths(name):
    for stage in (
        {"$lookup": {"from": name, "as": "x", "pipeline": []}},
        {"$unionWith": {"coll": name}},
        {"$graphLookup": {"from": name, "startWith": 1, "connectFromField": "a",
                          "connectToField": "a", "as": "x"}},
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            compile_pipeline([{"$facet": {"x": [stage]}}])


def test_joined_collections_are_reported_from_every_depth():
    inner = {"$lookup": {"from": "c", "as": "x", "pipeline": [{"$unionWith": "d"}]}}
    pipeline = [{"$unionWith": {"coll": "a", "pipeline": [{"$facet": {"y": [inner]}}]}}]
    assert compile_pipeline(pipeline).collections == {"a", "c", "d"}


@pytest.mark.parametrize(
    "compile_", [compile_filter, compile_pipeline, compile_update, compile_projection, compile_sort]
)
def test_all_is_bounded_in_depth_and_size(compile_):
    deep: Any = 1
    for _ in range(17):
        deep = {"a": deep}
    with pytest.raises(InvalidQuery, match="levels"):
        compile_(deep)
    with pytest.raises(InvalidQuery, match="values"):
        compile_({"a": list(range(1000))})


def test_sixteen_levels_and_a_thousand_values_are_taken():
    deep: Any = 1
    for _ in range(16):
        deep = {"a": deep}
    assert compile_filter(deep) == deep
    assert compile_filter({"a": list(range(998))}) == {"a": list(range(998))}


def test_projections_are_names_and_nothing_else():
    assert compile_projection({"a": 1, "b.c": True, "_id": 0}) == {"a": 1, "b.c": 1, "_id": 0}
    assert compile_projection(["a", "b.c"]) == {"a": 1, "b.c": 1}
    assert compile_projection({"a": 0, "_id": 1}) == {"a": 0, "_id": 1}
    assert compile_projection({}) is compile_projection([]) is None
    for bad in (
        5, "a", None, {"a": "$b"}, {"a": {"$slice": 1}}, {"a": {"$meta": "textScore"}},
        {"a": 2}, {"a": -1}, {"a": 1, "b": 0}, {"$a": 1}, {"a.$": 1}, {"a": 1, "a.b": 1},
        {"a": [1]}, {"a": {"b": 1}}, ["a", 5], ["a.b", "a"], [""], ["$where"], {"a": None},
    ):  # fmt: skip
        with pytest.raises(InvalidQuery):
            compile_projection(bad)


def test_sorts_are_names_with_directions():
    assert compile_sort("-price, +name,a.b") == [("price", -1), ("name", 1), ("a.b", 1)]
    assert compile_sort({"price": -1, "name": 1}) == [("price", -1), ("name", 1)]
    for bad in (
        5, [], {}, "", "a,a", ",", "-", "$a", {"a": 0}, {"a": "1"}, {"a": 1.0}, {"a": True},
        {"a": {"$meta": "textScore"}}, {f"f{i}": 1 for i in range(33)}, {"": 1}, None,
    ):  # fmt: skip
        with pytest.raises(InvalidQuery):
            compile_sort(bad)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["$a", "$$ROOT", "$$x", "$$CLUSTER_TIME", "text", "", "$", "a.b", "\0"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [*sorted({*FILTERS, *UPDATES, *STAGES, *EXPRESSIONS, *ACCUMULATORS}), "$and", "$or",
             *FORBIDDEN, "a", "b.c", "", "_id", "from", "as", "pipeline", "coll", "input", "in",
             "vars", "let", "$geometry", "$each", "arrayFilters", "$oid", "$date", "$code", "a.$[x]"]
        ),
        inner,
        max_size=3,
    ),
    max_leaves=15,
)  # fmt: skip
LISTED = {
    *FILTERS, *UPDATES, *STAGES, *EXPRESSIONS, *ACCUMULATORS, *NAMED_ACCUMULATORS, *RANKS,
    *SORTED_ACCUMULATORS, *WINDOW_SINGLE, *WINDOW_PAIRS, *WINDOW_NAMED, "$and", "$or", "$nor",
    "$expr", "$text", "$search", "$language", "$caseSensitive", "$diacriticSensitive",
    "$geometry", "$box", "$center", "$centerSphere", "$polygon", "$each", "$slice", "$sort",
    "$position",
}  # fmt: skip


@given(ANY)
def test_whatever_goes_in_only_listed_operators_come_out(value):
    for compile_ in (compile_filter, compile_update, compile_pipeline):
        try:
            compiled = compile_(value)
        except CoglexError as error:
            assert isinstance(error, InvalidInput)
            continue
        form = (
            compiled
            if isinstance(compiled, dict)
            else (compiled.update if isinstance(compiled, Update) else compiled.stages)
        )
        assert keys_of(form) <= LISTED
    for compile_ in (compile_projection, compile_sort):
        with suppress(InvalidQuery):
            assert not keys_of(compile_(value))

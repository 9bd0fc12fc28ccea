"""What must not get through, tried over every route that could let it."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.conftest import assert_problem

ROOT = "/service/storage/v1/"
BAD = [
    {"$where": "1"},
    {"a": {"$function": {"body": "1", "args": [], "lang": "js"}}},
    {"$expr": {"$function": {"body": "1", "args": [], "lang": "js"}}},
    {"$and": [{"b": 1}, {"a": {"$not": {"$where": "1"}}}]},
    {"a": {"$elemMatch": {"$or": [{"b": {"$accumulator": 1}}]}}},
    {"a": {"$in": [[{"$code": "1"}]]}},
    {"a": {"$eq": {"$regularExpression": {"pattern": "a", "options": ""}}}},
    {"$expr": {"$eq": ["$$USER_ROLES", 1]}},
    {"$expr": {"$eq": ["$$CLUSTER_TIME", 1]}},
    {"$jsonSchema": {}},
]


@pytest.fixture
def base(api, collection):
    api.send("PUT", f"{ROOT}{collection}/k", {"n": 1})
    return f"{ROOT}{collection}/"


@pytest.mark.parametrize("query", BAD, ids=[json.dumps(query)[:40] for query in BAD])
def test_a_forbidden_filter_is_refused_by_every_route(api, base, collection, documents, query):
    text = quote(json.dumps(query))
    here = {"collection": collection}
    calls = [
        ("GET", f"{base}?query={text}", None),
        ("GET", f"{base}?query={text}&count=true", None),
        ("HEAD", f"{base}?query={text}", None),
        ("PATCH", f"{base}?query={text}", {"n": 2}),
        ("DELETE", f"{base}?query={text}", None),
        ("POST", f"{base}aggregate/", {"pipeline": [{"$match": query}]}),
        ("POST", f"{base}aggregate/", {"pipeline": [{"$facet": {"x": [{"$match": query}]}}]}),
        (
            "POST",
            f"{base}aggregate/",
            {"pipeline": [{"$lookup": {"from": "o", "as": "x", "pipeline": [{"$match": query}]}}]},
        ),
        (
            "POST",
            ROOT,
            {"operations": [{"op": "update", **here, "query": query, "update": {"n": 2}}]},
        ),
        ("POST", ROOT, {"operations": [{"op": "delete", **here, "query": query}]}),
    ]
    for method, path, body in calls:
        answer = api.send(method, path, body)
        assert answer.status_code == 400, (method, path)
        if method != "HEAD":
            assert_problem(answer, 400, "operator_not_allowed")
    assert documents.find_one({}) == {"_id": "k", "n": 1}


@pytest.mark.parametrize(
    "stage",
    [
        {"$out": "stolen"},
        {"$out": {"db": "coglex_internal", "coll": "audit"}},
        {"$merge": {"into": "stolen"}},
        {"$currentOp": {}},
        {"$listSessions": {}},
        {"$collStats": {}},
        {"$indexStats": {}},
        {"$planCacheStats": {}},
        {"$changeStream": {}},
        {"$documents": [{}]},
        {"$lookup": {"from": {"db": "admin", "coll": "x"}, "as": "y", "pipeline": []}},
        {"$unionWith": {"coll": "system.users"}},
        {"$unionWith": {"coll": "$cmd.aggregate"}},
    ],
)
def test_a_pipeline_cannot_write_look_around_or_leave_the_database(api, base, stage, documents):
    for pipeline in (
        [stage],
        [{"$limit": 1}, stage],
        [{"$facet": {"x": [stage]}}],
        [{"$lookup": {"from": "o", "as": "x", "pipeline": [stage]}}],
        [{"$unionWith": {"coll": "o", "pipeline": [stage]}}],
    ):
        answer = api.send("POST", f"{base}aggregate", {"pipeline": pipeline})
        assert answer.status_code == 400
        assert_problem(answer, 400, answer.json()["code"])
    assert "stolen" not in documents.database.list_collection_names()


@pytest.mark.parametrize(
    "document",
    [
        {"$where": "1"},
        {"a": {"$gt": ""}},
        {"a.b": 1},
        {"": 1},
        {"a": [{"b\0": 1}]},
        {"a": {"$code": "1"}},
        {"a": {"$ref": "x", "$id": 1}},
    ],
)
def test_a_forbidden_name_in_a_document_is_refused_by_every_route(
    api, base, collection, documents, document
):
    here = {"collection": collection}
    for method, path, body in (
        ("POST", base, document),
        ("POST", base, [{}, document]),
        ("PUT", base + "k", document),
        ("PUT", base + "new", document),
        ("POST", ROOT, {"operations": [{"op": "insert", **here, "document": document}]}),
        ("POST", ROOT, {"operations": [{"op": "insert", **here, "documents": [document]}]}),
        (
            "POST",
            ROOT,
            {"operations": [{"op": "replace", **here, "key": "k", "document": document}]},
        ),
    ):
        answer = api.send(method, path, body)
        assert_problem(answer, 400, "invalid_field_name")
    assert list(documents.find({})) == [{"_id": "k", "n": 1}]


@pytest.mark.parametrize(
    "keys", ['{"a": "$b"}', '{"a": {"$function": 1}}', '{"a": {"$meta": "x"}}']
)
def test_a_projection_is_no_expression(api, base, keys):
    for path in (base, base + "k"):
        answer = api.get(path, {"keys": keys})
        assert_problem(answer, 400, answer.json()["code"])


@pytest.mark.parametrize("value", ["1e400", "-1e400", "NaN", "[" * 5000, '"\\ud800"', "9" * 5000])
def test_values_that_cannot_be_kept_are_refused_by_every_route(api, base, documents, value):
    raw = f'{{"a": {value}}}'.encode()
    for method, path in (
        ("POST", base),
        ("PUT", base + "k"),
        ("PATCH", base + "k"),
        ("POST", ROOT),
    ):
        assert_problem(api.send(method, path, raw), 400, "invalid_json")
    query = assert_problem(api.get(base, {"query": raw.decode()}), 400, "invalid_parameter")
    assert query["errors"][0]["parameter"] == "query"
    assert list(documents.find({})) == [{"_id": "k", "n": 1}]

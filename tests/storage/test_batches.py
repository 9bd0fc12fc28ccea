"""Batches: many operations, one transaction."""

from __future__ import annotations

import pytest

from tests.conftest import assert_problem

ROOT = "/service/storage/v1/"


@pytest.fixture
def run(api):
    def run(*operations, **headers):
        return api.send("POST", ROOT, {"operations": list(operations)}, **headers)

    return run


def test_each_operation_answers_as_the_single_call_would(run, api, collection, documents):
    documents.insert_many([{"_id": "a", "n": 1}, {"_id": "b", "n": 1}, {"_id": 7, "n": 1}])
    tag = api.get(f"{ROOT}{collection}/b")["ETag"]
    here = {"collection": collection}
    answer = run(
        {"op": "insert", **here, "document": {"_id": "c"}},
        {"op": "insert", **here, "documents": [{"_id": "d"}, {"_id": "e"}]},
        {"op": "update", **here, "key": "a", "update": {"$inc": {"n": 5}}},
        {"op": "update", **here, "query": {"n": {"$exists": True}}, "update": {"seen": True}},
        {"op": "replace", **here, "key": 7, "document": {"n": 9}},
        {"op": "delete", **here, "key": "c"},
        {"op": "delete", **here, "query": {"_id": {"$in": ["d", "e"]}}},
    )
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert results == [
        {"inserted_id": "c", "inserted_count": 1, "created_at": results[0]["created_at"]},
        {"inserted_ids": ["d", "e"], "inserted_count": 2, "created_at": results[1]["created_at"]},
        {"matched_count": 1, "modified_count": 1},
        {"matched_count": 3, "modified_count": 3},
        {"_id": 7, "n": 9},
        {"deleted_count": 1},
        {"deleted_count": 2},
    ]
    assert list(documents.find({}, sort=[("_id", 1)])) == [
        {"_id": 7, "n": 9},
        {"_id": "a", "n": 6, "seen": True},
        {"_id": "b", "n": 1, "seen": True},
    ]
    stale = run({"op": "delete", **here, "key": "b", "if_match": tag})
    assert_problem(stale, 412, "precondition_failed")
    fresh = api.get(f"{ROOT}{collection}/b")["ETag"]
    deleted = run({"op": "delete", **here, "key": "b", "if_match": fresh})
    assert deleted.json() == {"results": [{"deleted_count": 1}]}


def test_a_batch_spans_collections(run, collection, documents):
    other = f"{collection}x"
    answer = run(
        {"op": "insert", "collection": collection, "document": {"_id": 1}},
        {"op": "insert", "collection": other, "document": {"_id": 1}},
        {"op": "delete", "collection": other, "key": 1},
    )
    assert answer.status_code == 200
    documents.database[other].drop()


@pytest.mark.parametrize(
    ("bad", "status", "code", "pointers"),
    [
        (
            {"op": "insert", "document": {"_id": "taken"}},
            409,
            "duplicate_key",
            ["/operations/1", "/operations/1/document/_id"],
        ),
        (
            {"op": "insert", "documents": [{}, {"_id": "taken"}]},
            409,
            "duplicate_key",
            ["/operations/1", "/operations/1/documents/1/_id"],
        ),
        (
            {"op": "update", "key": "none", "update": {"a": 1}},
            404,
            "document_not_found",
            ["/operations/1"],
        ),
        (
            {"op": "replace", "key": "none", "document": {}},
            404,
            "document_not_found",
            ["/operations/1"],
        ),
        ({"op": "delete", "key": "none"}, 404, "document_not_found", ["/operations/1"]),
        (
            {"op": "delete", "key": "taken", "if_match": '"x"'},
            412,
            "precondition_failed",
            ["/operations/1"],
        ),
        (
            {"op": "update", "key": "taken", "update": {"$inc": {"text": 1}}},
            400,
            "invalid_query",
            ["/operations/1"],
        ),
        (
            {"op": "delete", "query": {"$where": "1"}},
            400,
            "operator_not_allowed",
            ["/operations/1", "/operations/1/query/$where"],
        ),
        (
            {"op": "update", "query": {}, "update": {"$set": {"_id": 1}}},
            400,
            "invalid_query",
            ["/operations/1", "/operations/1/update/$set/_id"],
        ),
        (
            {"op": "insert", "document": {"$a": 1}},
            400,
            "invalid_field_name",
            ["/operations/1", "/operations/1/document/$a"],
        ),
        ({"op": "drop"}, 400, "invalid_request", ["/operations/1", "/operations/1/op"]),
        ({"op": ["insert"]}, 400, "invalid_request", ["/operations/1", "/operations/1/op"]),
        ({"op": "delete", "key": "a", "query": {}}, 400, "invalid_request", ["/operations/1"]),
        ({"op": "delete"}, 400, "invalid_request", ["/operations/1"]),
        ({"op": "insert", "document": {}, "x": 1}, 400, "invalid_request", ["/operations/1"]),
        (
            {"op": "delete", "key": {"$date": "2020-01-01T00:00:00Z"}},
            400,
            "invalid_key",
            ["/operations/1", "/operations/1/key"],
        ),
        (
            {"op": "delete", "key": {"$gt": ""}},
            400,
            "invalid_field_name",
            ["/operations/1", "/operations/1/key/$gt"],
        ),
        (
            {"op": "delete", "query": {}, "if_match": '"x"'},
            400,
            "invalid_request",
            ["/operations/1", "/operations/1/if_match"],
        ),
        (
            {"op": "delete", "key": "a", "collection": "system.users"},
            400,
            "invalid_collection",
            ["/operations/1", "/operations/1/collection"],
        ),
    ],
)
def test_the_first_failure_undoes_all_and_says_where(
    run, collection, documents, bad, status, code, pointers
):
    documents.insert_one({"_id": "taken", "text": "x"})
    here = {"collection": collection}
    answer = run(
        {"op": "insert", **here, "document": {"_id": "before"}},
        {**here, **bad},
        {"op": "insert", **here, "document": {"_id": "after"}},
    )
    problem = assert_problem(answer, status, code)
    assert [error["pointer"] for error in problem["errors"]] == pointers
    assert list(documents.find({})) == [{"_id": "taken", "text": "x"}]


@pytest.mark.parametrize(
    "body", [{}, [], {"operations": []}, {"operations": {}}, {"operations": [1]}, {"ops": []}, 1]
)
def test_a_batch_of_another_form_is_refused(api, body):
    assert_problem(api.send("POST", ROOT, body), 400, "invalid_request")


def test_a_batch_has_at_most_a_thousand_operations(run, collection, documents, settings):
    settings.COGLEX_QUERY_TIMEOUT_MS = 60_000
    one = {"op": "insert", "collection": collection, "document": {}}
    assert_problem(run(*[one] * 1001), 400, "invalid_request")
    assert documents.count_documents({}) == 0
    assert len(run(*[one] * 1000).json()["results"]) == documents.count_documents({}) == 1000

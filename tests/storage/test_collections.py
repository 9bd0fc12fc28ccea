"""Collections: inserting, listing, counting, changing many, aggregating."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.conftest import assert_problem

ROOT = "/service/storage/v1"


@pytest.fixture
def base(collection):
    return f"{ROOT}/{collection}/"


@pytest.fixture
def shop(api, base):
    """Four products."""
    api.send(
        "POST",
        base,
        [
            {"_id": "cup", "price": 7, "tags": ["kitchen"], "stock": {"berlin": 2}},
            {"_id": "pot", "price": 25, "tags": ["kitchen", "steel"]},
            {"_id": "tea", "price": 4.5, "tags": []},
            {"_id": "tin", "price": 4.5},
        ],
    )
    return base


def keys(answer):
    return [document["_id"] for document in answer.json()]


def test_a_list_is_inserted_whole(api, base, documents):
    answer = api.send("POST", base, [{"_id": "a"}, {"n": 1}, {"_id": 5}])
    assert answer.status_code == 201
    body = answer.json()
    assert body == {
        "inserted_ids": ["a", body["inserted_ids"][1], 5],
        "inserted_count": 3,
        "created_at": body["created_at"],
    }
    assert "Location" not in answer
    assert documents.count_documents({}) == 3


@pytest.mark.parametrize(
    ("bad", "status", "code", "pointer"),
    [
        ({"_id": "taken"}, 409, "duplicate_key", "/2/_id"),
        ({"_id": "first"}, 409, "duplicate_key", "/2/_id"),
        ({"$set": 1}, 400, "invalid_field_name", "/2/$set"),
        (5, 400, "invalid_document", "/2"),
        ({"_id": None}, 400, "invalid_key", "/2/_id"),
    ],
)
def test_a_list_with_one_bad_document_inserts_none(
    api, base, documents, bad, status, code, pointer
):
    documents.insert_one({"_id": "taken"})
    answer = api.send("POST", base, [{"_id": "first"}, {}, bad, {}])
    problem = assert_problem(answer, status, code)
    assert problem["errors"][0]["pointer"] == pointer
    assert documents.count_documents({}) == 1


def test_a_list_has_one_to_ten_thousand_documents(api, base, documents):
    assert_problem(api.send("POST", base, []), 400, "invalid_document")
    assert_problem(api.send("POST", base, [{}] * 10_001), 400, "invalid_document")
    answer = api.send("POST", base, [{}] * 10_000)
    assert answer.json()["inserted_count"] == documents.count_documents({}) == 10_000


def test_exactly_one_match_is_the_document_itself_unless_a_page_was_asked_for(api, shop):
    query = {"query": '{"_id": "tea"}'}
    one = {"_id": "tea", "price": 4.5, "tags": []}
    assert api.get(shop, query).json() == one
    assert api.get(shop, {**query, "limit": 5}).json() == [one]
    assert api.get(shop, {**query, "skip": 0}).json() == [one]
    assert api.get(shop, {"query": '{"_id": "none"}'}).json() == []
    assert len(api.get(shop).json()) == 4


def test_an_unknown_collection_is_an_empty_list(api, base):
    assert api.get(base).json() == []


def test_without_a_sort_the_order_is_by_key(api, base):
    api.send("POST", base, [{"_id": "b"}, {"_id": "a"}, {"_id": "c"}])
    assert keys(api.get(base)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("-price,_id", ["pot", "cup", "tea", "tin"]),
        ("price", ["tea", "tin", "cup", "pot"]),
        ('{"price": 1, "_id": -1}', ["tin", "tea", "cup", "pot"]),
        ("+price,-_id", ["tin", "tea", "cup", "pot"]),
    ],
)
def test_a_sort_is_a_list_of_names_or_an_object(api, shop, sort, expected):
    assert keys(api.get(shop, {"sort": sort})) == expected


def test_counts_are_in_a_header(api, shop):
    answer = api.get(shop, {"count": "true", "limit": 1, "query": '{"price": {"$lt": 10}}'})
    assert answer["X-Total-Count"] == "3"
    assert len(answer.json()) == 1
    assert "X-Total-Count" not in api.get(shop)


@pytest.mark.parametrize(
    "bad",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "-1"},
        {"limit": "x"},
        {"limit": "1.5"},
        {"limit": ""},
        {"limit": "٣"},
        {"limit": "9" * 5000},
        {"skip": "-1"},
        {"skip": "100001"},
        {"count": "yes"},
        {"query": "{"},
        {"query": ""},
        {"query": "null"},
        {"query": '{"a": NaN}'},
        {"query": '{"a": 1, "a": 2}'},
        {"keys": "a"},
        {"keys": "5"},
        {"sort": ""},
        {"sort": "a,a"},
        {"sort": '{"a": 2}'},
        {"sort": '{"a": "1"}'},
        {"sort": "{}"},
        {"sort": "a,,b"},
        {"sort": "$a"},
        {"after": "x"},
        {"after": "é"},
        {"after": ""},
        {"limit": ["1", "2"]},
    ],
)
def test_a_parameter_of_the_wrong_form_names_itself(api, shop, bad):
    ((name, _),) = bad.items()
    answer = api.get(shop, bad)
    assert answer.status_code == 400
    problem = assert_problem(answer, 400, answer.json()["code"])
    assert problem["errors"][0]["parameter"] == name


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"price": {"$lt": 10}, "tags": {"$exists": True}}, ["cup", "tea"]),
        ({"tags": "kitchen"}, ["cup", "pot"]),
        ({"stock.berlin": {"$gte": 2}}, ["cup"]),
        ({"$or": [{"_id": "tin"}, {"tags": {"$size": 0}}]}, ["tea", "tin"]),
        ({"_id": {"$regex": "^T", "$options": "i"}}, ["tea", "tin"]),
        ({"$expr": {"$gt": [{"$size": {"$ifNull": ["$tags", []]}}, 1]}}, ["pot"]),
        ({"tags": {"$elemMatch": {"$eq": "steel"}}}, ["pot"]),
        ({"price": {"$not": {"$gt": 5}}}, ["tea", "tin"]),
        ({"price": {"$mod": [25, 0]}}, ["pot"]),
    ],
)
def test_filters_select(api, shop, query, expected):
    answer = api.get(shop, {"query": json.dumps(query), "limit": 10})
    assert keys(answer) == expected


def test_changing_many_needs_a_query(api, shop, documents):
    for method in ("PATCH", "DELETE"):
        problem = assert_problem(api.send(method, shop, {"a": 1}), 400, "invalid_parameter")
        assert problem["errors"][0]["parameter"] == "query"
    assert documents.count_documents({"a": {"$exists": True}}) == 0


def test_many_are_updated_and_deleted_by_query(api, shop, documents):
    cheap = quote('{"price": {"$lt": 5}}')
    assert api.send("PATCH", f"{shop}?query={cheap}", {"$inc": {"price": 1}}).json() == {
        "matched_count": 2,
        "modified_count": 2,
    }
    assert api.send("PATCH", f"{shop}?query={{}}", {"price": 7}).json() == {
        "matched_count": 4,
        "modified_count": 3,
    }
    assert api.send("DELETE", f"{shop}?query={quote(json.dumps({'_id': 'cup'}))}").json() == {
        "deleted_count": 1
    }
    assert api.send("DELETE", f"{shop}?query={{}}").json() == {"deleted_count": 3}
    assert documents.count_documents({}) == 0


def test_an_update_of_many_that_fails_on_one_changes_none(api, shop, documents):
    documents.update_one({"_id": "tin"}, {"$set": {"price": "free"}})
    answer = api.send("PATCH", f"{shop}?query={{}}", {"$inc": {"price": 1}})
    assert_problem(answer, 400, "invalid_query")
    assert documents.find_one({"_id": "cup"})["price"] == 7


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_changes_of_many_are_audited(api, shop, collection, method):
    from core import audit

    api.send(method, f"{shop}?query={{}}", {"a": 1}, X_Request_ID=f"audited-{collection}-{method}")
    entry = audit.find(limit=1)[0]
    action, counted = {
        "PATCH": ("storage.update_many", {"matched": 4}),
        "DELETE": ("storage.delete_many", {"deleted": 4}),
    }[method]
    assert entry["action"] == action
    assert entry["target"] == collection
    assert entry["principal"] == "bootstrap"
    assert entry["details"] == counted
    assert entry["request_id"] == f"audited-{collection}-{method}"


def test_aggregation_answers_a_list(api, shop):
    pipeline = [
        {"$match": {"price": {"$gt": 4}}},
        {"$group": {"_id": "$price", "n": {"$sum": 1}}},
        {"$sort": {"_id": 1}},
    ]
    answer = api.send("POST", f"{shop}aggregate/", {"pipeline": pipeline})
    assert answer.json() == [{"_id": 4.5, "n": 2}, {"_id": 7, "n": 1}, {"_id": 25, "n": 1}]
    one = api.send("POST", f"{shop}aggregate", {"pipeline": [{"$count": "n"}]})
    assert one.json() == [{"n": 4}]


@pytest.mark.parametrize("body", [{}, [], {"pipeline": {}}, {"pipeline": [], "x": 1}, 5])
def test_an_aggregation_is_an_object_with_a_pipeline(api, shop, body):
    assert api.send("POST", f"{shop}aggregate/", body).status_code == 400


def test_the_root_lists_collections_with_counts(api, shop, collection):
    assert {"name": collection, "count": 4} in api.get(ROOT).json()


@pytest.mark.parametrize(
    "name",
    [
        "1abc",
        "_a",
        "a..b",
        "a.",
        "system.users",
        "System.users",
        "SYSTEM.x",
        "a$b",
        "a b",
        "ä",
        "ａbc",
        "a%00",
        "a" * 65,
        "..",
        "%2e%2e",
        "a\x7f",
        "-a",
        "coglex_internal.audit$x",
    ],
)
def test_only_valid_names_name_collections(api, name):
    path = f"{ROOT}/{quote(name, safe='%')}"
    for method, suffix in (
        ("GET", "/"),
        ("POST", "/"),
        ("PATCH", "/?query={}"),
        ("DELETE", "/?query={}"),
        ("GET", "/k"),
        ("PUT", "/k"),
        ("PATCH", "/k"),
        ("DELETE", "/k"),
    ):
        assert_problem(api.send(method, path + suffix, {"a": 1}), 400, "invalid_collection")
    aggregate = api.send("POST", f"{path}/aggregate", {"pipeline": []})
    assert_problem(aggregate, 400, "invalid_collection")


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "a" * 64, "systems", "internal", "audit"])
def test_valid_names_do_not_reach_internal_records(api, name):
    from core import audit

    audit.record("test.marker", principal="t", target="t")
    path = f"{ROOT}/{name}/"
    assert api.get(path).json() == []
    lookup = [
        {"$unionWith": "audit"},
        {"$lookup": {"from": "idempotency", "as": "x", "pipeline": []}},
    ]
    assert api.send("POST", f"{path}aggregate", {"pipeline": lookup}).json() == []
    assert "audit" not in [item["name"] for item in api.get(ROOT).json()]

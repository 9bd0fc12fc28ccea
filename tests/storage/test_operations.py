"""What operators do with collections and indexes, by `manage.py collections` and `indexes`."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import CommandError, call_command

from core import audit, slow
from core.data import monitoring
from core.errors import DuplicateKey, InvalidInput, NotFound, OperatorNotAllowed
from storage import operations


def run(*args):
    out = io.StringIO()
    call_command(*args[:2], "--json", *args[2:], stdout=out)
    return json.loads(out.getvalue())


def said(*args):
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


@pytest.fixture
def filled(collection, documents):
    documents.insert_many({"_id": n, "n": n % 10, "at": None} for n in range(100))
    return collection


def test_collections_are_listed_with_count_and_sizes(filled):
    (found,) = [each for each in run("collections", "list") if each["name"] == filled]
    assert (found["count"], found["indexes"]) == (100, 1)
    assert found["bytes"] == found["average_bytes"] * 100 > 0
    assert filled in said("collections", "list")


def test_the_stats_of_one_have_its_indexes(filled):
    found = run("collections", "stats", filled)
    assert [each["name"] for each in found["index_list"]] == ["_id_"]
    assert "_id_" in said("collections", "stats", filled)
    with pytest.raises(CommandError, match="There is no collection 'nothere'"):
        run("collections", "stats", "nothere")


def test_a_collection_is_dropped_by_its_name_typed_again(filled, documents, monkeypatch):
    assert run("collections", "drop", filled, "--dry-run") == {"would_drop": filled}
    monkeypatch.setattr("builtins.input", lambda _: "another")
    with pytest.raises(CommandError, match="Nothing was dropped"):
        run("collections", "drop", filled)
    assert documents.count_documents({}) == 100
    monkeypatch.setattr("builtins.input", lambda _: filled)
    assert run("collections", "drop", filled) == {"dropped": filled, "documents": 100}
    assert documents.count_documents({}) == 0
    entry = audit.find(action="storage.drop_collection", limit=1)[0]
    assert (entry["principal"], entry["target"], entry["details"]) == (
        "cli",
        filled,
        {"documents": 100},
    )


def test_indexes_are_created_seen_in_use_and_dropped(filled, documents):
    made = run("indexes", "create", filled, "--unique", "--sparse", "--", "-n", "_id")
    assert made["name"] == "n_-1__id_1"
    list(documents.find({"n": 3}))
    (_, found) = run("indexes", "list", filled)
    assert found["keys"] == [["n", -1], ["_id", 1]]
    assert found["options"] == {"unique": True, "sparse": True}
    assert found["uses"] == 1
    assert found["bytes"] > 0
    assert "n_-1__id_1  (-n _id)" in said("indexes", "list", filled)
    assert run("indexes", "drop", filled, "n_-1__id_1", "--dry-run") == {
        "would_drop": found["name"]
    }
    run("indexes", "drop", filled, "n_-1__id_1")
    assert len(run("indexes", "list", filled)) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["place:2dsphere"], [["place", "2dsphere"]]),
        (["title:text", "body:text"], [["body", "text"], ["title", "text"]]),
        (["a.b", "-c"], [["a.b", 1], ["c", -1]]),
    ],
)
def test_kinds_of_keys(collection, words, expected):
    run("indexes", "create", collection, "--", *words)
    (_, found) = run("indexes", "list", collection)
    assert sorted(found["keys"]) == sorted(expected)


def test_an_index_may_expire_documents_or_hold_some_of_them(collection):
    run("indexes", "create", collection, "at", "--expire-after", "60")
    run("indexes", "create", collection, "n", "--partial", '{"n": {"$gt": 5}}')
    found = [each["options"] for each in run("indexes", "list", collection)]
    assert found == [
        {},
        {"expireAfterSeconds": 60},
        {"partialFilterExpression": {"n": {"$gt": 5}}},
    ]


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"keys": []}, InvalidInput),
        ({"keys": [("$a", 1)]}, InvalidInput),
        ({"keys": [("a..b", 1)]}, InvalidInput),
        ({"keys": [("a", "magic")]}, InvalidInput),
        ({"keys": [("a", 1), ("b", 1)], "expire_after": 1}, InvalidInput),
        ({"keys": [("a", 1)], "expire_after": -1}, InvalidInput),
        ({"keys": [("a", 1)], "partial": {"a": {"$where": "1"}}}, OperatorNotAllowed),
        ({"keys": [("n", 1)], "unique": True}, DuplicateKey),
    ],
)
def test_what_can_be_no_index_is_refused(filled, asked, kind):
    with pytest.raises(kind):
        operations.create_index(collection=filled, by="t", **asked)
    assert len(operations.list_indexes(collection=filled)) == 1


def test_indexes_that_are_not_there_cannot_be_dropped(filled):
    with pytest.raises(NotFound):
        operations.drop_index(collection=filled, name="x_1", by="t")
    with pytest.raises(InvalidInput):
        operations.drop_index(collection=filled, name="_id_", by="t")


def test_creating_can_be_tried_dry(filled):
    run("indexes", "create", filled, "n", "--dry-run")
    assert len(operations.list_indexes(collection=filled)) == 1


def test_slow_operations_suggest_an_index_until_it_is_there(api, filled, settings):
    monitoring.take_slow()
    settings.COGLEX_SLOW_MS = 0
    query = '{"n": 3, "price": {"$gt": 5}, "$and": [{"kind": {"$in": ["a"]}}]}'
    path = f"/service/storage/v1/{filled}/"
    api.get(path, {"query": query, "sort": '{"at": -1}'})
    slow.keep()
    (found, *_) = operations.suggest_indexes(collection=filled)
    assert found["keys"] == ["n", "kind", "-at", "_id"]
    assert found["operations"] >= 1
    assert f"indexes create {filled} -- n kind -at _id" in said("indexes", "suggest", filled)
    operations.create_index(collection=filled, keys=operations.parse_keys(found["keys"]), by="t")
    assert found["keys"] not in [
        each["keys"] for each in operations.suggest_indexes(collection=filled)
    ]


@pytest.mark.parametrize(
    ("chosen", "sort", "keys"),
    [
        ({"a": 1, "b": {"$gt": "?"}}, {"c": -1}, [("a", 1), ("c", -1), ("b", 1)]),
        ({"b": {"$lt": "?"}, "a": {"$eq": "?"}}, {}, [("a", 1), ("b", 1)]),
        ({"$or": [{"a": "?"}]}, {}, []),
        ({"a": "?"}, {"_id": 1, "b": 1}, [("a", 1), ("_id", 1)]),
        ({"a": "?"}, {"a": -1}, [("a", 1)]),
    ],
)
def test_equality_comes_before_sort_and_ranges_come_last(chosen, sort, keys):
    assert operations.index_for(chosen, sort) == keys

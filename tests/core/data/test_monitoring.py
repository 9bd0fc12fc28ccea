"""Slow operations are told of by their shape, and whatever is logged carries the caller's trace."""

from __future__ import annotations

import json

import pytest
import structlog

from core import slow
from core.data import monitoring
from core.data.client import internal
from storage import operations

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture(autouse=True)
def nothing_taken():
    monitoring.take_slow()
    internal("slow_operations").delete_many({})


@pytest.fixture
def told(settings):
    """What a request logs of slow operations when everything is slow."""
    settings.COGLEX_SLOW_MS = 0

    def of(call, operation):
        with structlog.testing.capture_logs() as lines:
            assert call().status_code < 300
        return [
            {name: line[name] for name in ("filter", "sort", "collection")}
            for line in lines
            if line["event"] == "slow_operation" and line["operation"] == operation
        ]

    return of


def test_the_shape_of_a_list_has_fields_and_operators_but_no_value(api, told, collection):
    query = '{"name": "Ada", "n": {"$gt": 5, "$in": [1]}, "$or": [{"a": {"b": 1}}, {"c": "x"}]}'
    path = f"/service/storage/v1/{collection}/"
    (shape, *_) = told(lambda: api.get(path, {"query": query, "sort": "-name"}), "find")
    assert shape["collection"] == collection
    assert shape["sort"] == {"name": -1, "_id": 1}
    assert shape["filter"]["$or"] == [{"a": "?"}, {"c": "?"}]
    assert (shape["filter"]["name"], shape["filter"]["n"]) == ("?", {"$gt": "?", "$in": "?"})
    assert "Ada" not in str(shape)


def test_writes_have_shapes_too(api, told, collection):
    path = f"/service/storage/v1/{collection}/"
    found = told(
        lambda: api.send("PATCH", f'{path}?query={{"n":7}}', {"$set": {"s": "secret"}}), "update"
    )
    assert found == [{"filter": {"n": "?"}, "sort": {}, "collection": collection}]
    found = told(lambda: api.send("DELETE", f'{path}?query={{"n":7}}'), "delete")
    assert found == [{"filter": {"n": "?"}, "sort": {}, "collection": collection}]


def test_a_conditional_write_does_not_tell_the_document(api, told, collection, documents):
    documents.insert_one({"_id": "k", "name": "Ada"})
    path = f"/service/storage/v1/{collection}/k/"
    etag = api.get(path)["ETag"]
    (shape,) = told(lambda: api.send("PATCH", path, {"n": 1}, If_Match=etag), "update")
    assert shape["filter"] == {"_id": "?", "$expr": {"$eq": "?"}}


@pytest.mark.parametrize(
    ("chosen", "shape"),
    [
        ({}, {}),
        ("text", {}),
        ({"a": {}}, {"a": "?"}),
        ({"a": {"$elemMatch": {"b": "secret"}}}, {"a": {"$elemMatch": "?"}}),
        ({"$and": [{"a": 1}] * 99}, {"$and": [{"a": "?"}] * 10}),
        ({"x" * 500: 1}, {"x" * 100: "?"}),
        ({"$and": [{"$and": [{"$and": [{"$and": [{"$and": [{"a": 1}]}]}]}]}]},
         {"$and": [{"$and": [{"$and": [{"$and": [{"$and": [{}]}]}]}]}]}),
    ],
)  # fmt: skip
def test_shapes_are_bounded(chosen, shape):
    assert monitoring.shape_of(chosen) == shape


def test_many_fields_are_cut_short():
    assert len(monitoring.shape_of({f"f{n}": n for n in range(1000)})) == 30


def test_fast_operations_are_not_told_of(api, told, collection, settings):
    settings.COGLEX_SLOW_MS = 60_000
    assert told(lambda: api.get(f"/service/storage/v1/{collection}/"), "aggregate") == []
    assert monitoring.take_slow() == []


def test_building_an_index_is_no_news(settings, collection):
    settings.COGLEX_SLOW_MS = 0
    with structlog.testing.capture_logs() as lines:
        operations.create_index(collection=collection, keys=[("n", 1)], by="test")
    told = {line["operation"] for line in lines if line["event"] == "slow_operation"}
    assert "createIndexes" not in told
    assert "insert" in told


def test_what_was_slow_is_kept_by_its_shape(api, told, collection):
    path = f"/service/storage/v1/{collection}/"
    for number in range(3):
        told(lambda n=number: api.get(path, {"query": json.dumps({"n": n})}), "find")
    slow.keep()
    found = [each for each in slow.find(collection=collection) if each["filter"] == {"n": "?"}]
    (one,) = [each for each in found if each["operation"] == "find"]
    assert one["count"] == 3
    assert one["milliseconds"] >= one["worst"] > 0
    assert monitoring.take_slow() == []


@pytest.mark.parametrize(
    ("header", "carried"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-holds", True),
        (f"00-{TRACE}-{PARENT}", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        ("x\nfake", False),
    ],
)
def test_the_callers_trace_is_in_every_line_of_the_request(
    api, settings, capfd, header, carried, collection
):
    settings.COGLEX_SLOW_MS = 0
    assert (
        api.get(f"/service/storage/v1/{collection}/", headers={"traceparent": header}).status_code
        == 200
    )
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "{" in line]
    assert {line["event"] for line in lines} >= {"request", "slow_operation"}
    expected = (TRACE, PARENT) if carried else (None, None)
    assert {(line.get("trace_id"), line.get("parent_id")) for line in lines} == {expected}

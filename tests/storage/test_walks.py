"""Next links: every document once, in order, whatever the sort field holds."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.data import client
from tests.conftest import APIClient, assert_problem

ROOT = "/service/storage/v1/"

SCALARS = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.0, 2.0, float("nan"), float("inf"), float("-inf")]),
    st.sampled_from([Int64(2), Decimal128("1.5"), Decimal128("NaN"), Decimal128("2")]),
    st.sampled_from(["", "a", "b", "ab", "é", "A"]),
    st.booleans(),
    st.sampled_from([datetime(2020, 1, 1), datetime(1950, 1, 1), ObjectId("0" * 24)]),
    st.sampled_from([b"", b"x", Binary(b"x", 5), Binary(b"0" * 16, 4)]),
    st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 1), max_size=2),
)
FOREIGN = st.sampled_from([MinKey(), MaxKey(), Timestamp(1, 1), Regex("a"), Regex("b", "i")])
VALUES = st.one_of(
    SCALARS,
    FOREIGN,
    st.lists(SCALARS, max_size=3),
    st.just("missing"),
)


def walk(api, path):
    """All documents from this page on, and the number of pages."""
    found, pages = [], 0
    while path:
        answer = api.get(path)
        assert answer.status_code == 200, answer.content
        found += answer.json()
        pages += 1
        link = answer.headers.get("Link")
        path = link.removeprefix("<").removesuffix('>; rel="next"') if link else None
    return found, pages


def fill(collection, values):
    documents = [
        {"_id": number, "n": number} if value == "missing" else {"_id": number, "a": value}
        for number, value in enumerate(values)
    ]
    client.documents(collection).delete_many({})
    client.documents(collection).insert_many(documents)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(VALUES, min_size=1, max_size=25),
    st.sampled_from([1, -1]),
    st.sampled_from([1, -1]),
    st.integers(1, 6),
    st.booleans(),
)
def test_a_walk_sees_what_one_sort_of_the_database_gives(
    collection, values, direction, key_direction, limit, indexed
):
    fill(collection, values)
    target = client.documents(collection)
    target.drop_indexes()
    order = [("a", direction), ("_id", key_direction)]
    if indexed:
        target.create_index(order)
    expected = [document["_id"] for document in target.find({}, {"_id": 1}, sort=order)]
    sort = f'{{"a": {direction}, "_id": {key_direction}}}'
    found, pages = walk(
        APIClient(), f"{ROOT}{collection}/?" + urlencode({"sort": sort, "limit": limit})
    )
    assert [document["_id"] for document in found] == expected
    assert pages == -(-len(values) // limit)
    assert all(set(document) <= {"_id", "a", "n"} for document in found)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=20), st.integers(1, 5))
def test_a_walk_by_two_fields_sees_all_once(collection, pairs, limit):
    # The database itself refuses to sort by two arrays of one document.
    pairs = [(a, None if isinstance(a, list) and isinstance(b, list) else b) for a, b in pairs]
    target = client.documents(collection)
    target.delete_many({})
    target.insert_many([{"_id": i, "a": a, "b": b} for i, (a, b) in enumerate(pairs)])
    order = [("a", -1), ("b", 1), ("_id", 1)]
    expected = [document["_id"] for document in target.find({}, {"_id": 1}, sort=order)]
    path = f"{ROOT}{collection}/?" + urlencode({"sort": "-a,b", "limit": limit, "keys": '["n"]'})
    found, _ = walk(APIClient(), path)
    assert [document["_id"] for document in found] == expected


def test_keys_of_mixed_types_are_walked_by_default(api, collection, documents):
    keys = [3, "b", ObjectId("0" * 24), Binary(b"0" * 16, 4), 1, "a", 2.5, Int64(2), "é", -1]
    documents.insert_many([{"_id": key} for key in keys])
    found, pages = walk(api, f"{ROOT}{collection}/?limit=3")
    expected = [document["_id"] for document in api.get(f"{ROOT}{collection}/").json()]
    assert [document["_id"] for document in found] == expected
    assert (len(found), pages) == (10, 4)


def test_pages_keep_their_filter_projection_and_count(api, collection, documents):
    documents.insert_many([{"_id": i, "even": i % 2 == 0, "x": i} for i in range(20)])
    query = {"query": '{"even": true}', "keys": '["x"]', "sort": "-x", "limit": 4, "count": "true"}
    first = api.get(f"{ROOT}{collection}/", query)
    link = first["Link"].removeprefix("<").removesuffix('>; rel="next"')
    second = api.get(link)
    assert second.json() == [{"_id": i, "x": i} for i in (10, 8, 6, 4)]
    assert second["X-Total-Count"] == "10"
    found, pages = walk(api, link)
    assert (len(found), pages) == (6, 2)


def test_a_last_page_of_one_is_a_list(api, collection, documents):
    documents.insert_many([{"_id": i} for i in range(3)])
    found, pages = walk(api, f"{ROOT}{collection}/?limit=2")
    assert (found, pages) == ([{"_id": 0}, {"_id": 1}, {"_id": 2}], 2)


def test_skip_is_followed_by_the_page_after_it(api, collection, documents):
    documents.insert_many([{"_id": i} for i in range(10)])
    found, _ = walk(api, f"{ROOT}{collection}/?limit=2&skip=5")
    assert [document["_id"] for document in found] == [5, 6, 7, 8, 9]


def test_a_next_link_is_good_for_its_own_list_only(api, collection, documents):
    documents.insert_many([{"_id": i} for i in range(5)])
    link = api.get(f"{ROOT}{collection}/?limit=2")["Link"].split(">")[0][1:]
    parts = dict(parse_qsl(urlsplit(link).query))
    token = parts["after"]

    def get(path=f"{ROOT}{collection}/", **changed):
        return api.get(f"{path}?" + urlencode({**parts, **changed}))

    assert get().status_code == 200
    assert_problem(get(query='{"_id": {"$gt": 0}}'), 400, "invalid_cursor")
    assert_problem(get(sort="-_id"), 400, "invalid_cursor")
    assert_problem(get(path=f"{ROOT}{collection}x/"), 400, "invalid_cursor")
    for altered in (token[:-2], token + "AA", token[4:], "A" + token[1:], "", "é", "%00"):
        assert_problem(get(after=altered), 400, "invalid_cursor")


def test_very_long_sort_values_are_continued_by_position(api, collection, documents):
    import secrets

    documents.insert_many([{"_id": i, "a": secrets.token_hex(20_000)} for i in range(6)])
    found, pages = walk(api, f"{ROOT}{collection}/?limit=2&sort=a&keys=%5B%22n%22%5D")
    assert sorted(document["_id"] for document in found) == [0, 1, 2, 3, 4, 5]
    assert pages == 3


@pytest.mark.parametrize("sort", ["a", "-a", "_id"])
def test_documents_that_stay_are_seen_once_while_others_come_and_go(
    api, collection, documents, sort
):
    values = [None, 1, "x", True, 2.5, {"y": 1}, ObjectId("0" * 24)]
    documents.insert_many([{"_id": f"k{i:03}", "a": values[i % 7]} for i in range(100)])
    path = f"{ROOT}{collection}/?limit=7&sort={sort}"
    seen = []
    for turn in range(1000):
        answer = api.get(path)
        seen += [document["_id"] for document in answer.json()]
        documents.insert_one({"_id": f"new{turn:03}", "a": values[turn % 7]})
        documents.delete_one({"_id": f"new{turn - 1:03}"})
        if "Link" not in answer.headers:
            break
        path = answer["Link"].split(">")[0][1:]
    stayed = [key for key in seen if key.startswith("k")]
    assert sorted(stayed) == [f"k{i:03}" for i in range(100)]

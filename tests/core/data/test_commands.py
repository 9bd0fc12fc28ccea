"""Reads on the driver's inner parts: the same as on its outer ones, and tried again likewise."""

from __future__ import annotations

import pytest
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo import MongoClient

from core.data import client as data_client
from core.data.commands import find_batch, find_one
from core.data.documents import get, insert
from core.errors import DatabaseUnavailable, QueryTimeout
from tests.core.data.test_failures import failing


def asked(collection, **chosen):
    return {"find": collection, "filter": chosen, "limit": 1, "singleBatch": True}


def test_a_read_finds_what_the_driver_finds(collection, documents):
    documents.insert_many(
        [{"_id": n, "n": n, "deep": {"list": [1, {"a": None}]}} for n in range(3)]
    )
    database = documents.database
    for n in range(3):
        raw = documents.with_options(DEFAULT_RAW_BSON_OPTIONS).find_one({"_id": n}).raw
        assert find_one(database, asked(collection, _id=n)) == raw
        assert find_batch(database, asked(collection, _id=n)) == [documents.find_one({"_id": n})]
    assert find_one(database, asked(collection, _id=7)) is None
    assert find_batch(database, asked(collection, _id=7)) == []


def test_what_does_not_come_in_one_batch_is_left_and_its_cursor_closed(collection, documents):
    documents.insert_many([{"_id": n} for n in range(10)])
    before = open_cursors()
    assert find_batch(documents.database, {"find": collection, "batchSize": 3}) is None
    assert open_cursors() == before


def open_cursors():
    status = data_client.client().admin.command("serverStatus")
    return status["metrics"]["cursor"]["open"]["total"]


def test_a_read_sees_what_its_transaction_has_written(collection, documents):
    documents.insert_one({"_id": "k", "n": 1})

    def work():
        documents.update_one({"_id": "k"}, {"$set": {"n": 2}}, session=data_client.session())
        return get(collection, ["k"]).document["n"]

    assert data_client.in_transaction(work) == 2


def test_a_read_is_tried_once_more_when_its_connection_breaks(collection, documents):
    documents.insert_one({"_id": "k"})
    with failing("find", mode={"times": 1}, closeConnection=True):
        assert get(collection, ["k"]).document == {"_id": "k"}
    with (
        failing("find", mode={"times": 3}, closeConnection=True),
        pytest.raises(DatabaseUnavailable),
    ):
        get(collection, ["k"])


def test_a_read_has_the_time_limit_of_an_operation(collection, impatient, mongodb):
    insert(collection, {"_id": "k"})
    blocked = {"failCommands": ["find"], "blockConnection": True, "blockTimeMS": 1000}
    with MongoClient(mongodb) as another:
        fail = {"configureFailPoint": "failCommand"}
        another.admin.command({**fail, "mode": {"times": 1}, "data": blocked})
        with pytest.raises(QueryTimeout):
            get(collection, ["k"])
        another.admin.command({**fail, "mode": "off"})
    assert get(collection, ["k"]).document == {"_id": "k"}

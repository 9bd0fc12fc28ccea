"""Commands on the driver's inner parts: the same as on its outer ones, and tried again likewise."""

from __future__ import annotations

import threading

import bson
import pytest
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS
from pymongo import MongoClient, message

from core.data import client as data_client
from core.data.commands import find_batch, find_one, write_one
from core.data.documents import get, insert, insert_all, replace, replace_or_create
from core.data.monitoring import is_near
from core.errors import DatabaseUnavailable, DocumentTooLarge, DuplicateKey, QueryTimeout
from core.turns import turn
from storage import services
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
        assert find_one(documents, {"_id": n}) == raw
        assert find_batch(database, asked(collection, _id=n)) == [documents.find_one({"_id": n})]
    assert find_one(documents, {"_id": 7}) is None
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
        with impatient(), pytest.raises(QueryTimeout):
            get(collection, ["k"])
        another.admin.command({**fail, "mode": "off"})
    assert get(collection, ["k"]).document == {"_id": "k"}


@pytest.mark.parametrize("size", [15_000, 17_000, 3_000_000])
def test_an_answer_in_pieces_is_put_together(collection, documents, size):
    documents.insert_one({"_id": "k", "text": "x" * size})
    assert get(collection, ["k"]).document == {"_id": "k", "text": "x" * size}


@pytest.mark.parametrize(
    "update",
    [
        {"q": {"_id": 1}, "u": {"$inc": {"n": 1}}},
        {"q": {"_id": 1}, "u": {"$inc": {"n": 0}}},
        {"q": {"_id": 7}, "u": {"$inc": {"n": 1}}},
        {"q": {"_id": 7}, "u": {"n": 5}, "upsert": True},
        {
            "q": {"_id": 1},
            "u": {"$set": {"list.$[x]": 9}},
            "arrayFilters": [{"x": {"$gt": 1}}],
        },
    ],
)
def test_a_write_does_what_the_driver_does(collection, documents, update):
    one = {"_id": 1, "n": 1, "list": [1, 2, 3]}
    documents.insert_one(one)
    command = {"update": collection, "updates": [update]}
    theirs = documents.database.command({**command})
    expected = list(documents.find().sort("_id"))
    documents.delete_many({})
    documents.insert_one(one)
    ours = write_one(documents.database, command)
    assert list(documents.find().sort("_id")) == expected
    told = ("n", "nModified", "upserted")
    assert {name: ours.get(name) for name in told} == {name: theirs.get(name) for name in told}


def test_a_write_is_tried_once_more_and_done_once(collection, documents):
    command = {"update": collection, "updates": [{"q": {"_id": "k"}, "u": {"$inc": {"n": 1}}}]}
    insert(collection, {"_id": "k", "n": 0})
    lost = {"code": 6, "errmsg": "no answer", "errorLabels": ["RetryableWriteError"]}
    # Done, and then not acknowledged; not done, twice.
    for done, failure in enumerate(
        (
            {"writeConcernError": lost},
            {"closeConnection": True},
            {"errorCode": 7, "errorLabels": ["RetryableWriteError"]},
        ),
        start=1,
    ):
        with failing("update", mode={"times": 1}, **failure):
            write_one(documents.database, command)
        assert get(collection, ["k"]).document["n"] == done
    with (
        failing("insert", mode={"times": 2}, closeConnection=True),
        pytest.raises(DatabaseUnavailable),
    ):
        insert(collection, {"_id": "another"})


def test_a_write_joins_its_transaction(collection, documents):
    def work():
        insert(collection, {"_id": "k"})
        assert documents.find_one({"_id": "k"}) is None
        raise DuplicateKey

    with pytest.raises(DuplicateKey):
        data_client.in_transaction(work)
    assert documents.find_one({"_id": "k"}) is None


def test_documents_that_one_message_cannot_hold_are_split(collection, documents, monkeypatch):
    # As if a message held 1 MB: transactions of 16 MB may be too much for the cache of a small one.
    monkeypatch.setattr(message, "_COMMAND_OVERHEAD", 1_000_000 - 16 * 1024 * 1024)
    insert_all(collection, [{"_id": n, "text": "x" * 100_000} for n in range(20)])
    assert documents.count_documents({}) == 20
    monkeypatch.undo()
    with pytest.raises(DocumentTooLarge):
        insert_all(collection, [{"_id": "a"}, {"_id": "b", "text": "x" * 17_000_000}])
    with pytest.raises(DuplicateKey) as raised:
        insert_all(collection, [{"_id": "a"}, {"_id": "b"}, {"_id": "a"}])
    assert [each.pointer for each in raised.value.errors] == ["/2/_id"]
    assert documents.count_documents({}) == 20


def test_a_document_can_be_as_large_as_mongodb_allows(collection):
    empty = len(bson.encode({"_id": "k", "text": ""}, codec_options=data_client.CODEC))
    most = {"text": "x" * (16 * 1024 * 1024 - empty)}
    more = {"text": most["text"] + "x"}
    insert(collection, {"_id": "k", **most})
    assert replace(collection, ["k"], most) == {"_id": "k", **most}
    assert replace_or_create(collection, ["k"], most) == ({"_id": "k", **most}, False)
    for write in (
        lambda: services.insert_document(collection=collection, document=more),
        lambda: services.insert_documents(collection=collection, documents=[more]),
        lambda: services.insert_documents(
            collection=collection, documents=[{}, {"_id": "l", **more}]
        ),
        lambda: services.put_document(collection=collection, key="k", document=more),
    ):
        with pytest.raises(DocumentTooLarge):
            write()
    assert services.count_documents(collection=collection) == 1


def test_others_compute_while_an_answer_takes_long(collection, mongodb):
    insert(collection, {"_id": "k"})
    reading, read = threading.Event(), threading.Event()

    def slowly():
        with turn():
            reading.set()
            get(collection, ["k"])
        read.set()

    thread = threading.Thread(target=slowly)
    with failing("find", mode={"times": 1}, blockConnection=True, blockTimeMS=2000):
        thread.start()
        assert reading.wait(10)
        with turn():
            assert not read.is_set()
    thread.join()
    assert read.is_set()


def test_a_mongodb_on_this_machine_is_near(settings):
    for uri, near in (
        (None, True),
        ("mongodb://localhost", True),
        ("mongodb://127.0.0.1:27018,[::1]:27019/?replicaSet=rs0", True),
        ("mongodb://%2Ftmp%2Fm.sock/", True),
        ("mongodb://user:word@db.example.com/", False),
        ("mongodb://localhost,db.example.com/", False),
        ("mongodb+srv://cluster.example.com/", False),
    ):
        settings.MONGODB_URI = uri
        assert is_near() is near, uri

"""What the database does wrong, in the client's words: real faults injected into a real MongoDB."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from core.data import client as data_client
from core.data.embedded.server import find_mongod
from tests.conftest import assert_problem
from tests.processes import eventually

ROOT = "/service/storage/v1"


@contextmanager
def failing(command, *, mode="alwaysOn", **data):
    """Let the database fail this command, always or some times."""
    admin = data_client.client().admin
    admin.command(
        "configureFailPoint",
        "failCommand",
        mode=mode,
        data={"failCommands": [command], **data},
    )
    try:
        yield
    finally:
        admin.command("configureFailPoint", "failCommand", mode="off")


@pytest.fixture
def base(api, collection):
    path = f"{ROOT}/{collection}/"
    api.send("PUT", path + "k", {"n": 1})
    return path


SLOW = {
    "$expr": {
        "$gt": [
            {"$reduce": {"input": {"$range": ["$n", 6000]}, "initialValue": 0, "in": {"$add": [
                "$$value", {"$size": {"$filter": {
                    "input": {"$range": ["$n", 6000]}, "cond": {"$eq": ["$$this", -1]}}}}]}}},
            0,
        ]
    }
}  # fmt: skip


def test_an_operation_over_its_time_limit_is_504(api, base, impatient):
    import json

    query = quote(json.dumps(SLOW))
    for method, path, body in (
        ("GET", f"{base}?query={query}", None),
        ("GET", f"{base}?query={query}&count=true&limit=1", None),
        ("PATCH", f"{base}?query={query}", {"n": 2}),
        ("DELETE", f"{base}?query={query}", None),
        ("POST", f"{base}aggregate", {"pipeline": [{"$match": SLOW}]}),
    ):
        with impatient():
            assert_problem(api.send(method, path, body), 504, "query_timeout")
    assert api.get(base + "k").json() == {"_id": "k", "n": 1}


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "(?<n", "*", "\\"])
def test_an_invalid_pattern_is_the_clients_error(api, base, pattern):
    import json

    query = json.dumps({"a": {"$regex": pattern}})
    assert_problem(api.get(base, {"query": query}), 400, "invalid_query")


def test_a_pattern_that_backtracks_for_ever_is_bounded(api, base, impatient, collection):
    import json
    import time

    data_client.documents(collection).insert_many([{"t": "a" * 5000 + "!"} for _ in range(50)])
    started = time.monotonic()
    with impatient():
        answer = api.get(base, {"query": json.dumps({"t": {"$regex": "^(a+)+$"}})})
    assert answer.status_code in {200, 400, 504}
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("command", ["find", "insert", "update", "delete", "aggregate"])
def test_a_connection_that_breaks_once_is_retried_unseen(api, base, command):
    calls = {
        "find": lambda: api.get(base + "k"),
        "insert": lambda: api.send("POST", base, {"n": 2}),
        "update": lambda: api.send("PATCH", base + "k", {"n": 3}),
        "delete": lambda: api.delete(base + "k"),
        "aggregate": lambda: api.send("POST", base + "aggregate", {"pipeline": []}),
    }
    with failing(command, mode={"times": 1}, closeConnection=True):
        assert calls[command]().status_code in {200, 201}


@pytest.mark.parametrize("code", [112, 246, 14031, 13])
def test_a_database_in_trouble_is_503(api, base, code):
    with failing("find", errorCode=code):
        answer = api.get(base + "k")
    assert_problem(answer, 503, "database_unavailable")
    assert int(answer["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        (50, 504, "query_timeout"),
        (292, 413, "result_too_large"),
        (146, 413, "result_too_large"),
        (2, 400, "invalid_query"),
        (99999, 400, "invalid_query"),
    ],
)
def test_other_failures_have_a_status_and_no_driver_text(api, base, code, status, name):
    with failing("find", errorCode=code):
        assert_problem(api.get(base + "k"), status, name)


def test_a_validator_of_the_operator_is_422(api, base, documents):
    documents.database.command(
        "collMod", documents.name, validator={"n": {"$lt": 10}}, validationLevel="strict"
    )
    assert_problem(api.send("POST", base, {"n": 50}), 422, "document_rejected")
    assert_problem(api.send("PATCH", base + "k", {"n": 50}), 422, "document_rejected")


def test_colliding_transactions_are_tried_again(api, base, documents):
    body = [{"n": 1}, {"n": 2}]
    with failing(
        "insert", mode={"times": 1}, errorCode=112, errorLabels=["TransientTransactionError"]
    ):
        assert api.send("POST", base, body).status_code == 201
    with failing("commitTransaction", mode={"times": 1}, closeConnection=True):
        assert api.send("POST", base, body).status_code == 201
    assert documents.count_documents({}) == 5


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    """A MongoDB that is no replica set."""
    root = tmp_path_factory.mktemp("s")
    socket = root / "m.sock"
    (root / "db").mkdir()
    process = subprocess.Popen(
        [str(find_mongod()), "--dbpath", str(root / "db"), "--bind_ip", str(socket),
         "--nounixsocket", "--logpath", str(root / "log"), "--wiredTigerCacheSizeGB", "0.25"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    uri = f"mongodb://{quote(str(socket), safe='')}/?directConnection=true"

    def answers():
        try:
            with MongoClient(uri, serverSelectionTimeoutMS=200) as client:
                return client.admin.command("ping")
        except PyMongoError:
            return None

    eventually(answers)
    yield uri
    process.terminate()
    process.wait()


def test_a_standalone_says_what_it_cannot_do(api, settings, standalone):
    data_client.close()
    settings.MONGODB_URI = standalone
    try:
        base = f"{ROOT}/alone/"
        assert api.send("POST", base, {"_id": "a", "n": 1}).status_code == 201
        assert api.send("POST", base, [{"_id": "b"}]).status_code == 201
        assert api.send("PATCH", base + "a", {"n": 2}).status_code == 200
        tag = api.get(base + "a")["ETag"]
        assert api.send("PUT", base + "a", {"n": 3}, If_Match=tag).status_code == 200
        one = {"op": "insert", "collection": "alone", "document": {}}
        for method, path, body, headers in (
            ("POST", base, [{}, {}], {}),
            ("POST", base, {}, {"Idempotency_Key": "alone"}),
            ("POST", ROOT, {"operations": [one]}, {}),
            ("PATCH", base + "?query={}", {"n": 9}, {}),
            ("DELETE", base + "?query={}", None, {}),
        ):
            answer = api.send(method, path, body, **headers)
            assert_problem(answer, 503, "transactions_unavailable")
            assert "Retry-After" in answer
        assert api.get(base).json() == [{"_id": "a", "n": 3}, {"_id": "b"}]
    finally:
        data_client.close()

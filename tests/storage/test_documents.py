"""One document by its key: section 3 of the API, as a client sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid

import pytest
from bson import Binary, ObjectId

from core.data.documents import new_key
from tests.conftest import assert_problem

ROOT = "/service/storage/v1"


@pytest.fixture
def base(collection):
    return f"{ROOT}/{collection}/"


def test_a_document_is_stored_as_sent_plus_its_key(api, base, documents):
    sent = {"name": "Ada", "tags": ["a", None, 1.5, True], "at": {"x": {}}, "__proto__": {"a": 1}}
    created = api.send("POST", base, sent)
    key = created.json()["inserted_id"]
    assert created.status_code == 201
    assert created.json() == {
        "inserted_id": key,
        "inserted_count": 1,
        "created_at": created.json()["created_at"],
    }
    assert created["Location"] == f"{base}{key}/"
    assert len(key) == 24
    assert documents.find_one({}) == {"_id": key, **sent}
    assert api.get(created["Location"]).json() == {"_id": key, **sent}


def test_generated_keys_are_of_their_time_and_their_process():
    began = int(time.time())
    keys = [new_key() for _ in range(10_000)]
    assert len(set(keys)) == len(keys)
    moments = [ObjectId(key).generation_time.timestamp() for key in (keys[0], keys[-1])]
    assert began <= moments[0] <= moments[1] <= time.time()
    code = (
        "import os\n"
        "from core.data.documents import new_key\n"
        "new_key()\n"
        "child = os.fork()\n"
        "os.write(1, new_key().encode() + b' ')\n"
        "child and os.wait()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        check=True,
    )
    one, other = ran.stdout.split()
    assert one[8:18] != other[8:18]


def test_creation_times_are_utc_strings(api, base):
    from datetime import UTC, datetime

    made = datetime.fromisoformat(api.send("POST", base, {}).json()["created_at"])
    assert made.tzinfo == UTC
    assert abs((datetime.now(UTC) - made).total_seconds()) < 60


@pytest.mark.parametrize("slash", ["", "/"])
def test_paths_answer_the_same_with_and_without_their_last_slash(api, base, slash):
    api.send("PUT", f"{base}k{slash}", {"a": 1})
    answer = api.get(f"{base}k{slash}")
    assert (answer.status_code, answer.json()) == (200, {"_id": "k", "a": 1})
    assert api.get(base.rstrip("/") + slash).json() == {"_id": "k", "a": 1}
    assert api.get(ROOT + slash).status_code == 200


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("tea", "tea"),
        ("é x&y?#%", "%C3%A9%20x%26y%3F%23%25"),
        ("a.b$c", "a.b$c"),
        ("k" * 128, "k" * 128),
        ("aggregate", "aggregate"),
        ({"$oid": "65f1d2ab7e4c81f9a3d5e701"}, "65f1d2ab7e4c81f9a3d5e701"),
        (
            {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"},
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        (42, "42"),
        (-7, "-7"),
    ],
)
def test_every_kind_of_key_is_reachable_by_its_spelling(api, base, key, path):
    created = api.send("POST", base, {"_id": key, "n": 1})
    assert created.status_code == 201
    assert created.json()["inserted_id"] == key
    assert created["Location"] == f"{base}{path.replace('&', '%26').replace('$', '%24')}/"
    assert api.get(f"{base}{path}").json() == {"_id": key, "n": 1}
    assert api.send("PATCH", f"{base}{path}", {"n": 2}).json() == {
        "matched_count": 1,
        "modified_count": 1,
    }
    assert api.send("PUT", f"{base}{path}", {"n": 3}).json() == {"_id": key, "n": 3}
    assert api.delete(f"{base}{path}").json() == {"deleted_count": 1}
    assert_problem(api.get(f"{base}{path}"), 404, "document_not_found")


@pytest.mark.parametrize("text", ["65f1d2ab7e4c81f9a3d5e701", "42"])
def test_a_path_means_the_string_before_other_keys_of_that_spelling(api, base, documents, text):
    other = ObjectId(text) if len(text) == 24 else int(text)
    documents.insert_many([{"_id": other, "is": "other"}, {"_id": text, "is": "string"}])
    assert api.get(base + text).json()["is"] == "string"
    api.delete(base + text)
    assert api.get(base + text).json()["is"] == "other"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a/b",
        "a\nb",
        "a\x00",
        "k" * 129,
        1.5,
        True,
        None,
        [],
        {},
        {"a": 1},
        {"$date": "2020-01-01T00:00:00Z"},
        {"$binary": {"base64": "AAE=", "subType": "00"}},
    ],
)
def test_a_key_of_another_form_is_refused(api, base, documents, key):
    problem = assert_problem(api.send("POST", base, {"_id": key}), 400, "invalid_key")
    assert problem["errors"][0]["pointer"] == "/_id"
    assert documents.count_documents({}) == 0


def test_too_long_a_key_in_a_path_is_refused(api, base):
    assert_problem(api.get(base + "k" * 129), 400, "invalid_key")
    assert_problem(api.get(base + "a%07"), 400, "invalid_key")


def test_a_taken_key_is_a_conflict(api, base):
    assert api.send("POST", base, {"_id": "a"}).status_code == 201
    problem = assert_problem(api.send("POST", base, {"_id": "a"}), 409, "duplicate_key")
    assert problem["errors"][0]["pointer"] == "/_id"


def test_a_unique_index_names_its_field(api, base, documents):
    documents.create_index("mail", unique=True)
    api.send("POST", base, {"mail": "a"})
    problem = assert_problem(api.send("POST", base, {"mail": "a"}), 409, "duplicate_key")
    assert problem["errors"][0]["pointer"] == "/mail"
    assert api.send("PUT", base + "k", {"mail": "b"}).status_code == 201
    assert_problem(api.send("PUT", base + "k", {"mail": "a"}), 409, "duplicate_key")
    assert_problem(
        api.send("PUT", base + "new", {"mail": "a"}, If_None_Match="*"), 409, "duplicate_key"
    )
    assert_problem(api.send("PATCH", base + "k", {"mail": "a"}), 409, "duplicate_key")


def test_put_creates_then_replaces(api, base):
    created = api.send("PUT", base + "k", {"a": 1})
    assert (created.status_code, created.json()) == (201, {"_id": "k", "a": 1})
    assert created["Location"] == f"{base}k/"
    replaced = api.send("PUT", base + "k", {"_id": "k", "b": 2})
    assert (replaced.status_code, replaced.json()) == (200, {"_id": "k", "b": 2})
    assert api.get(base + "k")["ETag"] == replaced["ETag"]
    assert "Location" not in replaced


def test_the_key_in_a_put_body_must_be_the_paths(api, base):
    problem = assert_problem(api.send("PUT", base + "k", {"_id": "other"}), 400, "invalid_key")
    assert problem["errors"][0]["pointer"] == "/_id"
    assert_problem(api.send("PUT", base + "1", {"_id": True}), 400, "invalid_key")
    typed = api.send("PUT", base + "42", {"_id": 42, "n": 1})
    assert (typed.status_code, typed.json()) == (201, {"_id": 42, "n": 1})


def test_keys_select_fields(api, base):
    api.send("PUT", base + "k", {"a": 1, "b": {"c": 2, "d": 3}, "e": 4})

    def get(keys):
        return api.get(base + "k", {"keys": keys}).json()

    assert get('["a", "b.c"]') == {"_id": "k", "a": 1, "b": {"c": 2}}
    assert get('{"a": 1, "_id": 0}') == {"a": 1}
    assert get('{"b": 0}') == {"_id": "k", "a": 1, "e": 4}
    assert get("[]") == get("{}") == {"_id": "k", "a": 1, "b": {"c": 2, "d": 3}, "e": 4}
    assert "ETag" not in api.get(base + "k", {"keys": '["a"]'})


def test_head_answers_as_get_without_a_body(api, base):
    api.send("PUT", base + "k", {"a": 1})
    get, head = api.get(base + "k"), api.head(base + "k")
    assert (head.status_code, head.content) == (200, b"")
    assert head["ETag"] == get["ETag"]
    assert head["Content-Length"] == get["Content-Length"]


def test_an_etag_stands_for_the_stored_bytes(api, base):
    api.send("PUT", base + "k", {"a": 1, "b": 2})
    first = api.get(base + "k")["ETag"]
    assert first.startswith('"')
    assert api.get(base + "k")["ETag"] == first
    api.send("PUT", base + "k", {"a": 1, "b": 3})
    assert api.get(base + "k")["ETag"] != first
    api.send("PUT", base + "k", {"a": 1, "b": 2})
    assert api.get(base + "k")["ETag"] == first


def test_an_unchanged_document_is_not_sent_again(api, base):
    api.send("PUT", base + "k", {"a": 1})
    tag = api.get(base + "k")["ETag"]
    for header in (tag, f'"x", W/{tag}', "*"):
        answer = api.get(base + "k", headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tag)
    assert api.get(base + "k", headers={"If-None-Match": '"x"'}).status_code == 200
    assert_problem(
        api.get(base + "none", headers={"If-None-Match": "*"}), 404, "document_not_found"
    )


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_lets_only_the_known_state_be_changed(api, base, documents, method):
    api.send("PUT", base + "k", {"n": 1})
    tag = api.get(base + "k")["ETag"]
    documents.update_one({"_id": "k"}, {"$set": {"n": 2}})
    body = None if method == "DELETE" else {"n": 9}
    for stale in (tag, f"W/{tag}", '"x", "y"'):
        assert_problem(
            api.send(method, base + "k", body, If_Match=stale), 412, "precondition_failed"
        )
    assert documents.find_one({}) == {"_id": "k", "n": 2}
    fresh = api.get(base + "k")["ETag"]
    assert api.send(method, base + "k", body, If_Match=f'"x", {fresh}').status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_if_match_any_needs_a_document(api, base, method):
    body = None if method == "DELETE" else {"n": 9}
    missing = api.send(method, base + "k", body, If_Match="*")
    assert_problem(
        missing,
        *((412, "precondition_failed") if method == "PUT" else (404, "document_not_found")),
    )
    api.send("PUT", base + "k", {"n": 1})
    assert api.send(method, base + "k", body, If_Match="*").status_code == 200


def test_if_none_match_lets_put_only_create(api, base, documents):
    assert api.send("PUT", base + "k", {"n": 1}, If_None_Match="*").status_code == 201
    assert_problem(
        api.send("PUT", base + "k", {"n": 2}, If_None_Match="*"), 412, "precondition_failed"
    )
    documents.insert_one({"_id": 42})
    assert_problem(
        api.send("PUT", base + "42", {"n": 2}, If_None_Match="*"), 412, "precondition_failed"
    )
    assert api.get(base + "k").json() == {"_id": "k", "n": 1}


@pytest.mark.parametrize("header", ["abc", '"a', "*, *", ""])
def test_a_malformed_condition_is_refused_not_ignored(api, base, header):
    api.send("PUT", base + "k", {"n": 1})
    problem = assert_problem(
        api.send("PATCH", base + "k", {"n": 2}, If_Match=header), 400, "invalid_parameter"
    )
    assert problem["errors"][0]["parameter"] == "If-Match"
    assert api.get(base + "k").json()["n"] == 1


def test_large_documents_are_compared_in_a_transaction(api, base):
    api.send("PUT", base + "k", {"n": 1, "text": "x" * 5_000_000})
    tag = api.get(base + "k")["ETag"]
    assert api.send("PATCH", base + "k", {"n": 2}, If_Match=tag).json()["modified_count"] == 1
    assert_problem(
        api.send("PATCH", base + "k", {"n": 3}, If_Match=tag), 412, "precondition_failed"
    )


def test_a_plain_patch_sets_fields_and_operators_update(api, base):
    api.send("PUT", base + "k", {"n": 1, "a": {"b": 1}, "list": [1, 2, 3], "old": 1})
    assert api.send("PATCH", base + "k", {"a.b": 2, "new": {"x": 1}}).json() == {
        "matched_count": 1,
        "modified_count": 1,
    }
    update = {
        "$inc": {"n": 2},
        "$unset": {"old": ""},
        "$push": {"list": {"$each": [9, 8], "$slice": -3}},
        "$set": {"list2.$[x]": 0},
        "arrayFilters": [{"x": {"$gt": 1}}],
    }
    api.send("PATCH", base + "k", {"list2": [1, 2, 3]})
    assert api.send("PATCH", base + "k", update).status_code == 200
    assert api.get(base + "k").json() == {
        "_id": "k",
        "n": 3,
        "a": {"b": 2},
        "list": [3, 9, 8],
        "new": {"x": 1},
        "list2": [1, 0, 0],
    }


def test_an_update_that_changes_nothing_matches_all_the_same(api, base):
    api.send("PUT", base + "k", {"n": 1})
    assert api.send("PATCH", base + "k", {"n": 1}).json() == {
        "matched_count": 1,
        "modified_count": 0,
    }


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_missing_document_is_not_found(api, base, method):
    body = {"n": 1} if method == "PATCH" else None
    assert_problem(api.send(method, base + "none", body), 404, "document_not_found")


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"$set": {}},
        [{"$set": {"a": 1}}],
        {"$set": {"a": 1}, "b": 2},
        {"_id": "other"},
        {"$set": {"_id": 1}},
        {"$set": {"_id.x": 1}},
        {"$unset": {"_id": ""}},
        {"$rename": {"_id": "x"}},
        {"$rename": {"a": "_id"}},
        {"$rename": {"a": "_id.b"}},
        {"$inc": {"a": "x"}},
        {"$inc": {"a": True}},
        {"$set": {"a": 1, "a.b": 2}},
        {"$set": {"a": 1}, "$inc": {"a": 1}},
        {"$set": {"a..b": 1}},
        {"$set": {"": 1}},
        {"$set": {"$a": 1}},
        {"$set": {"a.$[x]": 1}},
        {"$set": {"a.$[x]": 1}, "arrayFilters": [{"y": 1}]},
        {"$pop": {"a": 2}},
        {"$bit": {"a": {"nand": 1}}},
        {"$currentDate": {"a": "now"}},
        {"$push": {"a": {"$each": 1}}},
        {"$push": {"a": {"$slice": 1}}},
        {"$pull": {"a": {"$where": "1"}}},
        {"$set": {"a": {"$gt": 1}}},
        {"$set": {"a": {"b": {"$where": "1"}}}},
        {"$where": {"a": 1}},
        {"$set": 5},
        "text",
        5,
        None,
    ],
)
def test_an_update_that_does_not_compile_changes_nothing(api, base, documents, update):
    api.send("PUT", base + "k", {"a": [1, 2], "n": 1})
    for path in ("k", "?query={}"):
        answer = api.send("PATCH", base + path, update if update is not None else b"null")
        assert answer.status_code == 400
        assert answer.json()["code"] in {"invalid_query", "operator_not_allowed"}
    assert documents.find_one({}) == {"_id": "k", "a": [1, 2], "n": 1}


@pytest.mark.parametrize(
    "update",
    [
        {"$inc": {"name": 1}},
        {"$push": {"name": 1}},
        {"$set": {"name.first": "x"}},
        {"$rename": {"name": "name"}},
        {"$set": {"list.$": 1}},
    ],
)
def test_an_update_that_does_not_fit_the_document_is_the_clients_error(api, base, update):
    api.send("PUT", base + "k", {"name": "Ada", "list": [1]})
    answer = api.send("PATCH", base + "k", update)
    assert_problem(answer, 400, "invalid_query")


def test_a_document_over_16_mib_is_too_large(api, base, documents):
    half = "x" * (8 * 1024 * 1024)
    body = {"_id": "k", "a": half, "b": half}
    assert_problem(api.send("POST", base, body), 413, "document_too_large")
    assert_problem(api.send("PUT", base + "k", body), 413, "document_too_large")
    api.send("PUT", base + "k", {"a": half})
    assert_problem(api.send("PATCH", base + "k", {"b": half}), 413, "document_too_large")
    assert list(documents.find_one({})) == ["_id", "a"]


def test_documents_of_other_programs_come_out_whatever_they_hold(api, base, documents):
    from bson import Code, MaxKey, MinKey, Regex, Timestamp
    from bson.datetime_ms import DatetimeMS

    documents.insert_one(
        {
            "_id": ObjectId("65f1d2ab7e4c81f9a3d5e701"),
            "nan": float("nan"),
            "inf": [float("inf"), None],
            "far": DatetimeMS(10**17),
            "code": Code("x"),
            "re": Regex("a", "i"),
            "ts": Timestamp(1, 2),
            "min": MinKey(),
            "max": MaxKey(),
            "legacy": Binary(uuid.UUID(int=1).bytes, 3),
        }
    )
    assert api.get(base).json() == {
        "_id": {"$oid": "65f1d2ab7e4c81f9a3d5e701"},
        "nan": {"$numberDouble": "NaN"},
        "inf": [{"$numberDouble": "Infinity"}, None],
        "far": {"$date": {"$numberLong": "100000000000000000"}},
        "code": {"$code": "x"},
        "re": {"$regularExpression": {"pattern": "a", "options": "i"}},
        "ts": {"$timestamp": {"t": 1, "i": 2}},
        "min": {"$minKey": 1},
        "max": {"$maxKey": 1},
        "legacy": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAQ==", "subType": "03"}},
    }


def test_a_wrong_method_says_which_are_right(api, base):
    answer = api.send("POST", base + "k", {})
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "HEAD", "PUT", "PATCH", "DELETE"}
    answer = api.send("PUT", base, {})
    assert_problem(answer, 405, "method_not_allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "HEAD", "POST", "PATCH", "DELETE"}
    assert_problem(api.send("OPTIONS", base), 405, "method_not_allowed")
    assert_problem(api.send("BREW", base), 405, "method_not_allowed")

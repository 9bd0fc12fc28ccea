"""Making users."""

from __future__ import annotations

import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from core import audit
from tests.accounts.conftest import BASE, PASSWORD, record_of
from tests.conftest import APIClient, assert_problem

pytestmark = pytest.mark.servers


@pytest.fixture
def sign_up(api, people):
    def send(**body):
        sent = {"_key": "ada@example.com", "_password": PASSWORD, **body}
        return api.send("POST", f"{BASE}/signup/{people}/", sent)

    return send


def test_the_answer_is_the_user_document(sign_up, people):
    answer = sign_up(document={"name": "Ada", "born": {"$date": "1815-12-10T00:00:00Z"}})
    assert answer.status_code == 201
    assert answer["Location"] == f"{BASE}/session/{people}/"
    user = answer.json()
    assert len(user.pop("_id")) == 24
    born = {"$date": {"$numberLong": "-4861728000000"}}
    assert user == {"_key": "ada@example.com", "name": "Ada", "born": born}
    assert record_of(people)["password"].startswith("bcrypt_sha256$$2b$04$")
    assert "X-Session-Token" not in answer
    assert not answer.cookies


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Ada@Example.COM ", "ada@example.com"),
        ("STRASSE", "strasse"),
        ("straße", "strasse"),
        ("ﬁsh", "fish"),
        ("Å", "å"),
        ("ＡＤＡ", "ada"),
        ("İ", "i̇"),
        ("\u00a0x\u00a0", "x"),
    ],
)
def test_keys_are_normalised(sign_up, given, kept):
    assert sign_up(_key=given).json()["_key"] == kept
    assert_problem(sign_up(_key=unicodedata.normalize("NFD", given.strip())), 409, "key_taken")


@pytest.mark.parametrize(
    "key",
    [
        *("", "   ", "a\nb", "a\0", "\x7f", "\x85x", "x" * 255, "ﷺ" * 60),
        *(7, None, [], True, {"$ne": ""}, {"$gt": ""}, ["ada@example.com"]),
    ],
)
def test_what_is_no_key_is_refused(sign_up, key):
    problem = assert_problem(sign_up(_key=key), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/_key"


def test_the_longest_key_is_taken(sign_up):
    assert sign_up(_key="x" * 254).status_code == 201


@pytest.mark.parametrize("password", [None, 12345678, ["x" * 8], {"$ne": 1}, "x" * 1025])
def test_what_is_no_password_is_refused(sign_up, password):
    problem = assert_problem(sign_up(_password=password), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/_password"


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "password_too_short"),
        ("x9!kQz", "password_too_short"),
        ("password", "password_too_common"),
        ("8472619305", "password_entirely_numeric"),
        ("ada@example.com", "password_too_similar"),
        ("Hopper123", "password_too_similar"),
    ],
)
def test_a_weak_password_is_told_why(sign_up, people, password, code):
    answer = sign_up(_password=password, document={"first_name": "Grace", "last_name": "Hopper"})
    problem = assert_problem(answer, 422, "weak_password")
    assert code in {error["code"] for error in problem["errors"]}
    assert all(error["pointer"] == "/_password" for error in problem["errors"])
    assert record_of(people) is None


@pytest.mark.parametrize(
    ("document", "code", "pointer"),
    [
        ({"_id": "mine"}, "reserved_field", "/document/_id"),
        ({"_key": "root"}, "reserved_field", "/document/_key"),
        ({"_password": "x"}, "reserved_field", "/document/_password"),
        ({"_anything": 1}, "reserved_field", "/document/_anything"),
        ({"$set": {"a": 1}}, "invalid_field_name", "/document/$set"),
        ({"a": {"$b": 1}}, "invalid_field_name", "/document/a/$b"),
        ({"a": [{"x$y": 1}]}, "invalid_field_name", "/document/a/0/x$y"),
        ({"a.b": 1}, "invalid_field_name", "/document/a.b"),
        ({"": 1}, "invalid_field_name", "/document/"),
        ([], "invalid_document", "/document"),
        ("text", "invalid_document", "/document"),
        ({"a": {"$code": "x"}}, "invalid_field_name", "/document/a/$code"),
    ],
)
def test_a_document_cannot_reach_what_is_not_its(sign_up, people, document, code, pointer):
    answer = sign_up(document=document)
    assert assert_problem(answer, 400, code)["errors"][0]["pointer"] == pointer
    assert record_of(people) is None


@pytest.mark.parametrize("more", [{"admin": True}, {"password": "x"}, {"disabled": False}])
def test_members_that_are_not_known_are_refused(sign_up, more):
    assert_problem(sign_up(**more), 400, "invalid_request")


@pytest.mark.parametrize("body", [b" ", b"[]", b"null", b'"x"', b"{}", b'{"_key": "a"}', b"\xff"])
def test_bodies_that_are_none_are_refused(api, people, body):
    assert api.send("POST", f"{BASE}/signup/{people}/", body).status_code == 400


@pytest.mark.parametrize("name", ["1a", "a..b", "system.users", "a$b", "ä"])
def test_a_collection_that_is_none(api, name):
    body = {"_key": "a", "_password": PASSWORD}
    for action in ("signup", "signin"):
        answer = api.send("POST", f"{BASE}/{action}/{name}/", body)
        assert_problem(answer, 400, "invalid_collection")
    for action in ("session", "sessions", "signout"):
        assert_problem(api.send("GET", f"{BASE}/{action}/{name}/"), 400, "invalid_collection")
    assert_problem(api.send("PATCH", f"{BASE}/refresh/{name}/", {}), 400, "invalid_collection")


def test_collections_are_independent(api, people):
    for name in (people, f"{people}.b"):
        body = {"_key": "ada", "_password": PASSWORD}
        assert api.send("POST", f"{BASE}/signup/{name}", body).status_code == 201


def test_simultaneous_sign_ups_of_one_key_make_one_user(people):
    spellings = ["ada", "ADA", " Ada ", "ａｄａ"]
    together = threading.Barrier(8)

    def one(number):
        together.wait()
        body = {"_key": spellings[number % 4], "_password": PASSWORD}
        answer = APIClient().send("POST", f"{BASE}/signup/{people}/", body)
        connection.close()
        return answer.status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(24)))
    assert sorted(statuses) == [201] + [409] * 23


def test_an_idempotency_key_makes_one_user_and_keeps_no_password(api, people):
    from core.data.client import internal

    body = {"_key": "ada", "_password": PASSWORD}
    sent = [
        api.send("POST", f"{BASE}/signup/{people}/", body, Idempotency_Key=people) for _ in range(2)
    ]
    assert [answer.status_code for answer in sent] == [201, 201]
    assert sent[0].json() == sent[1].json()
    assert sent[1]["Idempotent-Replayed"] == "true"
    other = {"_key": "ada", "_password": PASSWORD + "!"}
    answer = api.send("POST", f"{BASE}/signup/{people}/", other, Idempotency_Key=people)
    assert_problem(answer, 422, "idempotency_key_reused")
    from hashlib import sha256

    from core.data.encoding import dumps

    plain = sha256(dumps(body)).hexdigest()
    assert internal("idempotency").count_documents({"fingerprint": plain}) == 0


def test_a_sign_up_is_audited(sign_up, people):
    user = sign_up().json()
    entry = audit.find(action="auth.signup", limit=1)[0]
    assert (entry["target"], entry["outcome"]) == (f"{people}/{user['_id']}", "success")
    assert (entry["principal"], entry["address"]) == ("bootstrap", "127.0.0.1")


@pytest.mark.django_db
def test_scopes_are_those_of_the_collection(api_with, people):
    body = {"_key": "ada", "_password": PASSWORD}
    path = f"{BASE}/signup/{people}/"
    for scope in ("auth:read", "auth/other:*", "storage:*"):
        assert_problem(api_with(scope).send("POST", path, body), 403, "insufficient_scope")
    assert api_with(f"auth/{people}:write").send("POST", path, body).status_code == 201
    assert_problem(APIClient("").send("POST", path, body), 401, "missing_api_key")

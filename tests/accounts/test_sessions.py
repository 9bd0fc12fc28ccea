"""Signing in, being signed in, signing out; by cookie and by header."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from accounts import operations
from accounts.records import users
from core import audit
from core.times import now
from tests.accounts.conftest import PASSWORD, Person, record_of
from tests.conftest import assert_problem

pytestmark = pytest.mark.django_db

USER = {"_key": "ada@example.com", "name": "Ada", "age": 36}


def age(collection, **moved):
    """Let a user's sessions have been seen, or end, earlier."""
    for name, by in moved.items():
        change = {"$set": {f"sessions.$[].{name}": now() - by}}
        users.update_all({"collection": collection}, change)


def test_a_sign_in_answers_with_the_user(person):
    made = person.sign_up(name="Ada", age=36).json()
    answer = person.sign_in(" ADA@example.com")
    assert answer.status_code == 200
    assert answer.json() == made == {"_id": made["_id"], **USER}
    assert len(answer["X-Session-Token"]) == 32


def test_the_cookie_is_for_the_server_alone(people, db):
    browser = Person("cookie", people)
    browser.sign_up()
    answer = browser.sign_in()
    cookie = answer.cookies[f"coglex_session_{people}"]
    assert cookie.value == answer["X-Session-Token"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")
    assert cookie["secure"] is True
    assert cookie["max-age"] == 60 * 86_400


def test_the_session_says_who_and_until_when(ada, people):
    answer = ada.session()
    assert answer.status_code == 200
    body = answer.json()
    assert body["user"] | {"_id": ""} == {"_id": "", **USER}
    session = body["session"]
    assert set(session) == {"id", "collection", "signed_in_at", "last_seen_at", "expires_at"}
    assert session["collection"] == people
    assert session["signed_in_at"].endswith("Z")
    assert session["id"] != ada.always.get("X-Session-Token")
    assert ada.head(ada.at("session")).status_code == 200


def test_nobody_is_signed_in_at_first(person):
    problem = assert_problem(person.session(), 401, "not_signed_in")
    assert problem["detail"] == "There is no valid session."
    assert_problem(person.send("GET", person.at("sessions")), 401, "not_signed_in")
    assert_problem(person.send("PATCH", person.at("refresh"), {}), 401, "not_signed_in")
    assert_problem(person.send("DELETE", person.at("sessions", "others")), 401, "not_signed_in")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_signing_out_ends_the_session(ada, way, method):
    kept = dict(ada.always), ada.cookies.copy()
    answer = ada.send(method, ada.at("signout"))
    assert (answer.status_code, answer.json()) == (200, {"signed_out": True})
    ada.always, ada.cookies = kept
    assert not ada.is_signed_in, "the token is worth nothing any more"
    assert ada.send(method, ada.at("signout")).json() == {"signed_out": False}


def test_collections_stand_side_by_side(ada, people, way):
    other = Person(way, f"{people}.staff")
    other.sign_up("bob")
    token = other.sign_in("bob")["X-Session-Token"]
    if way == "cookie":
        ada.sign_in("bob", collection=other.collection)
        assert ada.session().json()["user"]["_key"] == "ada@example.com"
        assert ada.session(other.collection).json()["user"]["_key"] == "bob"
        ada.send("POST", ada.at("signout"))
        assert ada.session(other.collection).status_code == 200
    else:
        ada.always["X-Session-Token"] = token
        assert not ada.is_signed_in
        assert ada.session(other.collection).status_code == 200


def test_the_session_of_one_collection_is_none_of_another(ada, people):
    """Neither by its cookie under the other's name, nor by the header."""
    token = SessionStore(Session.objects.get().session_key).session_key
    thief = Person("header", people)
    thief.always["X-Session-Token"] = token
    assert thief.is_signed_in
    assert_problem(thief.session(f"{people}.staff"), 401, "not_signed_in")
    thief = Person("cookie", people)
    thief.cookies[f"coglex_session_{people}.staff"] = token
    assert_problem(thief.session(f"{people}.staff"), 401, "not_signed_in")


def test_with_the_header_no_cookie_counts(people, db):
    browser = Person("cookie", people)
    browser.sign_up()
    browser.sign_in()
    assert browser.is_signed_in
    assert_problem(
        browser.send("GET", browser.at("session"), X_Session_Token="x" * 32), 401, "not_signed_in"
    )
    assert_problem(
        browser.send("GET", browser.at("session"), X_Session_Token=""), 401, "not_signed_in"
    )


@pytest.mark.parametrize(
    "token", ["", "x", "\0" * 32, "ä" * 32, "x" * 5000, "{}", "../" * 10, "a b" * 8]
)
def test_tokens_that_are_none(person, way, token):
    if way == "cookie":
        person.cookies[f"coglex_session_{person.collection}"] = token
    else:
        person.always["X-Session-Token"] = token
    assert not person.is_signed_in
    assert person.send("POST", person.at("signout")).json() == {"signed_out": False}


def test_an_operators_session_is_no_users(person, way, admin_client):
    token = admin_client.cookies["sessionid"].value
    if way == "cookie":
        person.cookies[f"coglex_session_{person.collection}"] = token
    else:
        person.always["X-Session-Token"] = token
    assert not person.is_signed_in
    person.send("POST", person.at("signout"))
    assert admin_client.get("/admin/").status_code == 200, "and is not ended by one"


def test_a_users_session_opens_no_admin(ada, client):
    client.cookies["sessionid"] = Session.objects.get().session_key
    assert client.get("/admin/").status_code == 302


def test_a_session_that_somebody_chose_is_not_taken(person, way):
    """Session fixation: the token of a sign-in is always a new one."""
    person.sign_up()
    for chosen in ("a" * 32, Person(way, person.collection).sign_in()["X-Session-Token"]):
        if way == "cookie":
            person.cookies[f"coglex_session_{person.collection}"] = chosen
        else:
            person.always["X-Session-Token"] = chosen
        assert person.sign_in()["X-Session-Token"] != chosen


def test_signing_in_again_ends_the_session_before(ada, way, people):
    before = dict(ada.always), ada.cookies.copy()
    ada.sign_in()
    assert ada.is_signed_in
    ada.always, ada.cookies = before
    assert not ada.is_signed_in
    assert len(record_of(people)["sessions"]) == 1


def test_an_idle_session_ends(ada, people, settings):
    settings.COGLEX_SESSION_IDLE_SECONDS = 100
    age(people, last_seen_at=timedelta(seconds=99))
    assert ada.is_signed_in, "which is seen, and noted"
    assert now() - timedelta(seconds=5) < record_of(people)["sessions"][0]["last_seen_at"].replace(
        tzinfo=now().tzinfo
    )
    age(people, last_seen_at=timedelta(seconds=101))
    assert not ada.is_signed_in
    assert ada.send("POST", ada.at("signout")).json() == {"signed_out": False}


def test_an_old_session_ends_however_busy(ada, people):
    age(people, expires_at=timedelta(seconds=1))
    assert not ada.is_signed_in


def test_the_absolute_time_is_in_djangos_session_too(ada):
    session = Session.objects.get()
    assert timedelta(days=59) < session.expire_date - now() < timedelta(days=61)
    session.expire_date = now() - timedelta(seconds=1)
    session.save()
    assert not ada.is_signed_in


def test_a_disabled_user_is_out_at_once_and_comes_back_by_signing_in(ada, people):
    user_id = record_of(people)["_id"]
    operations.disable_user(collection=people, user_id=user_id, by="test")
    assert not ada.is_signed_in
    assert_problem(ada.sign_in(), 401, "invalid_credentials")
    operations.enable_user(collection=people, user_id=user_id, by="test")
    assert not ada.is_signed_in
    assert ada.sign_in().status_code == 200


def test_a_deleted_user_is_out_at_once(ada, people):
    operations.delete_user(collection=people, user_id=record_of(people)["_id"], by="test")
    assert not ada.is_signed_in
    assert_problem(ada.sign_in(), 401, "invalid_credentials")


def test_the_condition_of_a_sign_in_is_looked_at_on_every_request(person, people):
    person.sign_up(active=True, since={"$date": "2026-01-01T00:00:00Z"})
    query = {"active": True, "since": {"$lt": {"$date": "2026-06-01T00:00:00Z"}}}
    assert person.sign_in(query=query).status_code == 200
    assert person.is_signed_in
    users.update({"collection": people}, {"$set": {"user.active": False}})
    assert not person.is_signed_in
    assert_problem(person.sign_in(query=query), 401, "invalid_credentials")
    users.update({"collection": people}, {"$set": {"user.active": True}})
    assert person.is_signed_in or person.sign_in(query=query).status_code == 200


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"$where": "1"}, "operator_not_allowed"),
        ({"$or": [{"a": {"$function": {}}}]}, "operator_not_allowed"),
        ({"$expr": {"$eq": ["$$CLUSTER_TIME", 1]}}, "operator_not_allowed"),
        ([], "invalid_query"),
        ("x", "invalid_query"),
        ({"a": {"$regex": "x" * 600}}, "invalid_query"),
        ({"a": "x" * 17_000}, "invalid_query"),
        ({"$text": {"$search": "x"}}, "invalid_query"),
        ({"place": {"$near": [1, 2]}}, "invalid_query"),
    ],
)
def test_a_condition_that_does_not_compile(person, query, code):
    person.sign_up()
    assert_problem(person.sign_in(query=query), 400, code)
    assert_problem(person.sign_in("nobody", query=query), 400, code)


@pytest.mark.parametrize(
    "query",
    [
        {"password": {"$exists": True}},
        {"_password": {"$exists": True}},
        {"user.password": {"$exists": True}},
        {"sessions": {"$exists": True}},
        {"$expr": {"$gt": ["$password", ""]}},
        {"$expr": {"$gt": ["$$ROOT.password", ""]}},
        {"$expr": {"$regexMatch": {"input": {"$toString": "$password"}, "regex": "^bcrypt"}}},
    ],
)
def test_a_condition_sees_the_users_document_only(person, query):
    person.sign_up()
    answer = person.sign_in(query=query)
    assert answer.status_code in {400, 401}
    assert "$2b$" not in answer.content.decode()


def test_every_way_not_to_get_in_looks_the_same(person, people):
    person.sign_up(active=False)
    person.sign_up("disabled")
    user_id = record_of(people, "disabled")["_id"]
    operations.disable_user(collection=people, user_id=user_id, by="test")
    answers = [
        person.sign_in("nobody"),
        person.sign_in("nobody", query={"active": True}),
        person.sign_in(password="wrong horse"),
        person.sign_in(password=""),
        person.sign_in(query={"active": True}),
        person.sign_in("disabled"),
    ]
    bodies = []
    for answer in answers:
        body = assert_problem(answer, 401, "invalid_credentials")
        assert body.pop("request_id") == answer["X-Request-ID"]
        bodies.append(body)
        names = set(answer.headers) - {"X-Request-ID"}
        assert names == set(answers[0].headers) - {"X-Request-ID"}
        assert not answer.cookies
    assert all(body == bodies[0] for body in bodies)


def test_every_way_in_costs_one_check_of_a_hash_of_the_same_rounds(person, people, monkeypatch):
    from accounts import passwords

    person.sign_up()
    person.sign_up("disabled")
    operations.disable_user(
        collection=people, user_id=record_of(people, "disabled")["_id"], by="test"
    )
    checks = []
    verify = passwords.verify_password
    monkeypatch.setattr(
        passwords, "verify_password", lambda *given: (checks.append(given[1]), verify(*given))[1]
    )
    kind = re.compile(r"bcrypt_sha256\$\$2b\$04\$[./A-Za-z0-9]{53}")
    for key, password, more in (
        ("ada@example.com", PASSWORD, {}),
        ("ada@example.com", "wrong", {}),
        ("ada@example.com", PASSWORD, {"query": {"no": 1}}),
        ("disabled", PASSWORD, {}),
        ("nobody", PASSWORD, {}),
    ):
        checks.clear()
        person.sign_in(key, password, **more)
        assert [bool(kind.fullmatch(each)) for each in checks] == [True], (key, password)


def test_nothing_of_a_long_password_is_cut(person):
    long = "ä" * 500 + "\0" + "x" * 500
    person.sign_up(password=long)
    assert_problem(person.sign_in(password=long[:-1]), 401, "invalid_credentials")
    assert_problem(person.sign_in(password=long[:72]), 401, "invalid_credentials")
    assert_problem(person.sign_in(password="ä" * 500), 401, "invalid_credentials")
    assert person.sign_in(password=long).status_code == 200


@pytest.mark.parametrize("rounds", [5, 6])
def test_a_hash_with_other_rounds_is_renewed_at_sign_in(person, people, settings, rounds):
    person.sign_up()
    settings.COGLEX_BCRYPT_ROUNDS = rounds
    person.sign_in(password="wrong horse")
    assert record_of(people)["password"].startswith("bcrypt_sha256$$2b$04$")
    assert person.sign_in().status_code == 200
    assert record_of(people)["password"].startswith(f"bcrypt_sha256$$2b$0{rounds}$")
    assert person.sign_in().status_code == 200


def test_the_list_of_sessions_is_the_users_own(ada, another, people):
    another.sign_up("bob")
    another.sign_in("bob")
    third = Person("header", people)
    third.always["User-Agent"] = "phone"
    third.sign_in()
    answer = ada.send("GET", ada.at("sessions"))
    assert answer.status_code == 200
    found = answer.json()
    assert [(each["current"], each["user_agent"]) for each in found] == [
        (False, "phone"),
        (True, ""),
    ]
    names = {"id", "current", "signed_in_at", "last_seen_at", "expires_at", "ip", "user_agent"}
    assert all(set(each) == names and each["ip"] == "127.0.0.1" for each in found)


def test_one_session_is_revoked(ada, another):
    another.sign_in()
    other = next(s for s in ada.send("GET", ada.at("sessions")).json() if not s["current"])
    answer = ada.send("DELETE", ada.at("sessions", other["id"]))
    assert (answer.status_code, answer.json()) == (200, {"revoked": 1})
    assert ada.is_signed_in
    assert not another.is_signed_in
    again = ada.send("DELETE", ada.at("sessions", other["id"]))
    assert_problem(again, 404, "session_not_found")


def test_all_others_are_revoked(ada, another, people):
    another.sign_in()
    Person("header", people).sign_in()
    answer = ada.send("DELETE", ada.at("sessions", "others"))
    assert (answer.status_code, answer.json()) == (200, {"revoked": 2})
    assert ada.is_signed_in
    assert not another.is_signed_in
    assert ada.send("DELETE", ada.at("sessions", "others")).json() == {"revoked": 0}


def test_the_session_of_somebody_else_is_not_found(ada, another):
    another.sign_up("bob")
    another.sign_in("bob")
    theirs = another.session().json()["session"]["id"]
    assert_problem(ada.send("DELETE", ada.at("sessions", theirs)), 404, "session_not_found")
    assert another.is_signed_in


def test_a_user_has_at_most_a_hundred_sessions(person, people):
    person.sign_up()
    for _ in range(103):
        Person("header", people).sign_in()
    assert len(record_of(people)["sessions"]) == 100


def test_every_event_is_audited_with_address_and_agent(ada, people):
    ada.always["User-Agent"] = "audited/1"
    ada.sign_in(password="wrong horse")
    ada.sign_in()
    ada.send("PATCH", ada.at("refresh"), {"document": {"age": 37}})
    ada.send("DELETE", ada.at("sessions", "others"))
    ada.send("POST", ada.at("signout"))
    found = [
        (entry["action"], entry["outcome"])
        for entry in reversed(audit.find(limit=50))
        if entry["user_agent"] == "audited/1" and entry["target"].startswith(people)
    ]
    assert found == [
        ("auth.signin", "failure"),
        ("auth.signin", "success"),
        ("auth.signout", "success"),
        ("auth.refresh", "success"),
        ("auth.revoke", "success"),
        ("auth.signout", "success"),
    ]


@pytest.mark.parametrize(
    "engine",
    ["django.contrib.sessions.backends.cache", "django.contrib.sessions.backends.cached_db"],
)
def test_the_engine_is_a_setting(person, settings, engine):
    settings.SESSION_ENGINE = engine
    person.sign_up()
    assert person.sign_in().status_code == 200
    assert person.is_signed_in
    person.send("POST", person.at("signout"))
    assert not person.is_signed_in

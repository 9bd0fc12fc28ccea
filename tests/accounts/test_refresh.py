"""Changing the signed-in user: fields and password; by cookie and by header."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts import services
from accounts.records import users
from core.errors import CoglexError
from tests.accounts.conftest import PASSWORD, record_of
from tests.conftest import assert_problem

pytestmark = pytest.mark.django_db

NEW = "a different horse"


def change(person, **body):
    return person.send("PATCH", person.at("refresh"), body)


def test_fields_are_set_and_others_stay(ada):
    answer = change(ada, document={"age": 37, "tags": ["a"], "at": {"$oid": "0" * 24}})
    assert answer.status_code == 200
    user = answer.json()
    assert user.pop("_id")
    assert user == {
        "_key": "ada@example.com",
        "name": "Ada",
        "age": 37,
        "tags": ["a"],
        "at": {"$oid": "0" * 24},
    }
    assert ada.session().json()["user"]["age"] == 37


@pytest.mark.parametrize(
    "document",
    [
        {"_id": "x"},
        {"_key": "root"},
        {"_password": "x"},
        {"$set": {"_key": "root"}},
        {"$unset": {"name": ""}},
        {"name.first": "x"},
        {"a": {"$inc": 1}},
        [],
        "x",
        7,
        {"": 1},
    ],
)
def test_nothing_else_is_reached(ada, people, document):
    before = record_of(people)
    answer = change(ada, document=document)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"].startswith("/document")
    assert record_of(people) == before


@pytest.mark.parametrize(
    "body", [{}, {"document": None}, {"_current_password": PASSWORD}, {"admin": 1}, {"query": {}}]
)
def test_a_change_of_nothing_is_refused(ada, body):
    assert_problem(ada.send("PATCH", ada.at("refresh"), body), 400, "invalid_request")


def test_an_empty_document_changes_nothing(ada):
    assert change(ada, document={}).json()["age"] == 36


def test_a_new_password_ends_all_other_sessions(ada, another):
    another.sign_in()
    answer = change(ada, _password=NEW, _current_password=PASSWORD, document={"age": 40})
    assert answer.status_code == 200
    assert answer.json()["age"] == 40
    assert ada.is_signed_in
    assert not another.is_signed_in
    assert_problem(another.sign_in(), 401, "invalid_credentials")
    assert another.sign_in(password=NEW).status_code == 200


def test_a_new_password_needs_the_current_one(ada, people):
    before = record_of(people)
    problem = assert_problem(change(ada, _password=NEW), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/_current_password"
    for wrong in ("wrong horse", "", PASSWORD.upper()):
        answer = change(ada, _password=NEW, _current_password=wrong, document={"age": 1})
        assert_problem(answer, 401, "invalid_credentials")
    for no_text in ({"$ne": ""}, 7, ["x"]):
        answer = change(ada, _password=NEW, _current_password=no_text)
        assert_problem(answer, 400, "invalid_request")
        answer = change(ada, _password=no_text, _current_password=PASSWORD)
        assert_problem(answer, 400, "invalid_request")
    assert record_of(people) == before
    assert ada.is_signed_in


def test_a_new_password_may_not_be_weak(ada):
    answer = change(ada, _password="password", _current_password=PASSWORD)
    assert_problem(answer, 422, "weak_password")
    answer = change(ada, _password="Ada-ada@example.com", _current_password=PASSWORD)
    assert_problem(answer, 422, "weak_password")


def test_guesses_of_the_current_password_are_counted(ada, settings, one_window):
    settings.COGLEX_RATE_SIGNIN_KEY = "3/h"
    statuses = [
        change(ada, _password=NEW, _current_password=f"wrong {n}").status_code for n in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]
    assert_problem(ada.sign_in(), 429, "rate_limited")


def test_of_two_simultaneous_changes_of_the_password_one_wins(ada, people):
    record = record_of(people)
    entry = record["sessions"][0]
    who = services.SignedIn(record["user"], {**entry, "collection": people}, record)
    together = threading.Barrier(4)

    def one(number):
        together.wait()
        try:
            services.refresh(
                who=who,
                password=f"{NEW} {number}",
                current_password=PASSWORD,
                principal="test",
            )
        except CoglexError as error:
            return error.code
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(4) as pool:
        ended = sorted(pool.map(one, range(4)))
    assert ended == ["done"] + ["not_signed_in"] * 3


def test_a_sign_in_that_races_with_a_new_password_does_not_survive_it(person, people, monkeypatch):
    """The password is changed between the check of the old one and the session."""
    person.sign_up()
    from accounts import operations, passwords

    fits = passwords.fits

    def slow(*given):
        done = fits(*given)
        user_id = record_of(people)["_id"]
        operations.set_password(collection=people, user_id=user_id, password=NEW, by="test")
        return done

    monkeypatch.setattr(passwords, "fits", slow)
    assert_problem(person.sign_in(), 401, "invalid_credentials")
    assert record_of(people)["sessions"] == []


def test_a_document_too_large_is_refused_and_nothing_is_lost(ada, people):
    users.update({"collection": people}, {"$set": {"user.big": "x" * 9_000_000}})
    answer = change(ada, document={"more": "x" * 9_000_000})
    assert_problem(answer, 413, "document_too_large")
    assert record_of(people)["user"].keys() == {"_id", "_key", "name", "age", "big"}

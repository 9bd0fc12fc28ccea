"""What operators do with users, by command; the admin's pages are tested beside them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from core import audit
from tests.accounts.conftest import PASSWORD, Person, record_of

pytestmark = pytest.mark.django_db


def users(*arguments, stdin=None, monkeypatch=None):
    if stdin is not None:
        monkeypatch.setattr("sys.stdin", StringIO(stdin))
    out = StringIO()
    call_command("users", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def app(people):
    made = Person("header", people)
    made.sign_up(name="Ada")
    made.sign_in()
    return made


def test_users_are_listed_and_found(app, people):
    app.sign_up("bob")
    assert f"{people}  2\n" in users("list")
    assert {"name": people, "count": 2} in json.loads(users("list", "--json"))
    listed = users("list", people).splitlines()
    assert [line.split()[1:] for line in listed] == [
        ["active", "ada@example.com", "1", "sessions"],
        ["active", "bob", "0", "sessions"],
    ]
    found = json.loads(users("list", people, "--query", '{"name": "Ada"}', "--json"))
    assert [each["user"]["_key"] for each in found] == ["ada@example.com"]
    assert len(users("list", people, "--limit", "1").splitlines()) == 1


def test_a_user_is_shown_without_the_hash(app, people):
    shown = json.loads(users("show", people, "ADA@example.com"))
    assert set(shown) == {
        "user",
        "disabled",
        "created_at",
        "password_changed_at",
        "last_signed_in_at",
        "sessions",
    }
    by_id = json.loads(users("show", people, shown["user"]["_id"], "--json"))
    assert by_id == shown


@pytest.mark.parametrize(
    "query",
    [
        '{"_record.password": {"$exists": true}}',
        '{"password": {"$exists": true}}',
        '{"$expr": {"$gt": ["$$ROOT._record.password", ""]}}',
    ],
)
def test_the_hash_cannot_be_searched_for(app, people, query):
    assert users("list", people, "--query", query) == ""


def test_a_user_is_made_with_a_password_from_standard_input(people, monkeypatch):
    said = users(
        *("create", people, "bob", "--document", '{"a": 1}', "--password-stdin"),
        stdin=PASSWORD + "\n",
        monkeypatch=monkeypatch,
    )
    assert said.startswith("Made bob, ")
    app = Person("header", people)
    assert app.sign_in("bob").json()["a"] == 1
    with pytest.raises(CommandError, match="too short"):
        users(*("create", people, "eve", "--password-stdin"), stdin="x\n", monkeypatch=monkeypatch)
    with pytest.raises(CommandError, match="not valid JSON"):
        users("create", people, "eve", "--document", "{")


def test_disabling_and_enabling(app, people):
    users("disable", people, "ada@example.com")
    assert not app.is_signed_in
    assert " disabled " in users("list", people)
    users("enable", people, "ada@example.com")
    assert app.sign_in().status_code == 200


def test_setting_a_password_ends_the_sessions(app, people, monkeypatch):
    users(
        *("set-password", people, "ada@example.com", "--password-stdin"),
        stdin="another fine horse\n",
        monkeypatch=monkeypatch,
    )
    assert not app.is_signed_in
    assert app.sign_in(password="another fine horse").status_code == 200


def test_ending_sessions_one_or_all(app, people):
    others = [Person("header", people) for _ in range(3)]
    for other in others:
        other.sign_in()
    one = others[0].session().json()["session"]["id"]
    key = "ada@example.com"
    assert users("end-sessions", people, key, "--dry-run") == "Would end 4 sessions.\n"
    assert users("end-sessions", people, key, "--session", one) == "Ended 1 sessions.\n"
    assert not others[0].is_signed_in
    assert others[1].is_signed_in
    assert json.loads(users("end-sessions", people, key, "--json")) == {"ended": 3}
    assert not app.is_signed_in


def test_deleting(app, people):
    assert users("delete", people, "ada@example.com", "--dry-run").startswith("Would delete")
    assert app.is_signed_in
    users("delete", people, "ada@example.com")
    assert record_of(people) is None
    assert not app.is_signed_in
    with pytest.raises(CommandError, match="no such user"):
        users("delete", people, "ada@example.com")


def test_all_of_it_is_audited(app, people):
    for action in ("disable", "enable", "end-sessions", "delete"):
        users(action, people, "ada@example.com")
    found = audit.find(principal="cli", limit=4)
    assert [entry["action"] for entry in reversed(found)] == [
        "auth.disable",
        "auth.enable",
        "auth.end_sessions",
        "auth.delete",
    ]
    assert all(entry["target"].startswith(f"{people}/") for entry in found)

"""Operators' pages of users."""

from __future__ import annotations

import pytest

from core import audit
from tests.accounts.conftest import Person, record_of
from tests.conftest import sign_in_operator

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/user/"


@pytest.fixture
def app(people):
    made = Person("header", people)
    made.sign_up(name="<b>Ada</b>")
    made.sign_in()
    return made


@pytest.fixture
def page(people, app):
    return f"{LIST}{people}/{record_of(people)['_id']}/"


def text(response):
    assert response.status_code == 200
    return response.content.decode()


def test_users_are_listed_and_searched(admin_client, app, people):
    app.sign_up("bob")
    shown = text(admin_client.get(LIST, {"collection": people}))
    assert "ada@example.com" in shown
    assert "bob" in shown
    shown = text(admin_client.get(LIST, {"collection": people, "q": "B"}))
    assert "ada@example.com" not in shown
    assert ">bob<" in shown
    shown = text(admin_client.get(LIST, {"collection": people, "query": '{"name": {"$ne": null}}'}))
    assert ">bob<" not in shown
    assert "No user fits" in text(admin_client.get(LIST, {"collection": people, "q": "(["}))


@pytest.mark.parametrize("query", ["{", "[]", '{"$where": "1"}', '{"a": {"$bad": 1}}'])
def test_a_fault_in_the_query_is_said_beside_it(admin_client, app, people, query):
    shown = text(admin_client.get(LIST, {"collection": people, "query": query}))
    assert 'class="error"' in shown
    assert "ada@example.com" not in shown


def test_long_lists_have_pages(admin_client, people):
    client = Person("header", people)
    for number in range(55):
        client.sign_up(f"user{number:02}")
    first = text(admin_client.get(LIST, {"collection": people}))
    assert "user49" in first
    assert "user50" not in first
    assert "skip=50" in first
    assert "user54" in text(admin_client.get(LIST, {"collection": people, "skip": "50"}))


def test_the_page_of_a_user_is_escaped(admin_client, page):
    shown = text(admin_client.get(page))
    assert "&lt;b&gt;Ada" in shown
    assert "<b>Ada" not in shown


def test_sessions_are_seen_and_ended(admin_client, app, page, people):
    other = Person("header", people)
    other.sign_in()
    one = other.session().json()["session"]["id"]
    assert f"end:{one}" in text(admin_client.get(page))
    admin_client.post(page, {"action": f"end:{one}"})
    assert not other.is_signed_in
    assert app.is_signed_in
    assert "Ended 1 sessions" in text(admin_client.post(page, {"action": "end:"}, follow=True))
    assert not app.is_signed_in
    assert audit.find(limit=1)[0]["principal"] == "admin:admin"


def test_disabling_enabling_and_a_new_password(admin_client, app, page):
    admin_client.post(page, {"action": "disable:"})
    assert not app.is_signed_in
    assert app.sign_in().status_code == 401
    admin_client.post(page, {"action": "enable:"})
    assert app.sign_in().status_code == 200
    shown = text(
        admin_client.post(page, {"action": "password:", "password": "password"}, follow=True)
    )
    assert "too common" in shown
    admin_client.post(page, {"action": "password:", "password": "another fine horse"})
    assert app.sign_in(password="another fine horse").status_code == 200


def test_deleting_leads_back_to_the_list(admin_client, app, page):
    answer = admin_client.post(page, {"action": "delete:"})
    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert not app.is_signed_in
    assert admin_client.get(page)["Location"] == LIST


def test_permissions_are_asked_for(client, app, page):
    assert client.get(LIST)["Location"].startswith("/admin/login/")
    sign_in_operator(client)
    assert client.get(LIST).status_code == 403
    assert client.post(page, {"action": "end:"}).status_code == 403
    assert app.is_signed_in


def test_who_may_view_may_not_change(client, app, page):
    sign_in_operator(client, "accounts.view_user")
    assert 'name="action"' not in text(client.get(page))
    for action in ("end:", "disable:", "password:", "delete:"):
        assert client.post(page, {"action": action}).status_code == 403
    assert app.is_signed_in


def test_who_may_change_may_not_delete(client, app, page):
    sign_in_operator(client, "accounts.view_user", "accounts.change_user")
    assert client.post(page, {"action": "delete:"}).status_code == 403
    assert client.post(page, {"action": "end:"}).status_code == 302
    assert not app.is_signed_in


def test_an_unknown_action_is_none(admin_client, page):
    assert "nothing here" in text(admin_client.post(page, {"action": "explode:"}, follow=True))

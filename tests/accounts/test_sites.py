"""What a browser sends from another site's page, and who may call a view."""

from __future__ import annotations

import pytest
from django.http import JsonResponse
from django.test import RequestFactory

from accounts.records import users
from core.errors import CrossSiteRequest, NotSignedIn
from core.http.permissions import HasAPIKey, HasSession, authenticated
from core.http.views import ServiceViewSet, answer
from tests.accounts.conftest import Person, record_of
from tests.conftest import assert_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(people):
    made = Person("cookie", people)
    made.sign_up()
    made.sign_in()
    return made


ROUTES = [
    ("GET", "session", ()),
    ("GET", "sessions", ()),
    ("GET", "signout", ()),
    ("POST", "signout", ()),
    ("PATCH", "refresh", ()),
    ("DELETE", "sessions", ("others",)),
]


@pytest.mark.parametrize(("method", "action", "more"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://testserver.evil.example"},
        {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
    ],
)
def test_a_cookie_from_another_site_does_not_count(browser, method, action, more, headers):
    body = {"document": {"name": "x"}} if method == "PATCH" else None
    answer = browser.send(method, browser.at(action, *more), body, **headers)
    assert_problem(answer, 403, "cross_site_request")
    assert browser.is_signed_in
    assert "name" not in record_of(browser.collection)["user"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://testserver"},
        {"Sec_Fetch_Site": "none"},
        {"Origin": "http://testserver"},
    ],
)
def test_a_cookie_from_this_site_counts(browser, headers):
    assert browser.send("GET", browser.at("session"), **headers).status_code == 200


def test_a_cookie_from_a_listed_origin_counts(browser, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://shop.example"]
    headers = {"Origin": "https://shop.example", "Sec_Fetch_Site": "cross-site"}
    answer = browser.send("GET", browser.at("session"), **headers)
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "https://shop.example"
    assert answer["Access-Control-Allow-Credentials"] == "true"


def test_with_a_token_in_the_header_the_site_does_not_matter(people):
    app = Person("header", people)
    app.sign_up()
    app.sign_in()
    headers = {"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}
    assert app.send("GET", app.at("session"), **headers).status_code == 200


@authenticated()
def whoever(request, user):
    return JsonResponse({"key": user["_key"]})


class Staff(ServiceViewSet):
    service = "storage"
    permission_classes = [HasAPIKey & HasSession]

    def list(self, request):
        from core.http.signed_in import signed_in_user

        return answer(signed_in_user(request, "people"))


def request_with(token=None, **headers):
    if token:
        headers["X-Session-Token"] = token
    return RequestFactory().get("/", headers=headers)


def test_a_plain_view_gets_the_user(people):
    app = Person("header", people)
    app.sign_up()
    token = app.sign_in()["X-Session-Token"]
    for collection in (None, people):
        view = authenticated(collection)(whoever.__wrapped__)
        assert view(request_with(token)).content == b'{"key": "ada@example.com"}'
    with pytest.raises(NotSignedIn):
        authenticated("others")(whoever.__wrapped__)(request_with(token))
    with pytest.raises(NotSignedIn):
        whoever(request_with())


def test_a_plain_view_takes_the_cookie_of_any_collection(browser):
    request = request_with()
    request.COOKIES = {name: morsel.value for name, morsel in browser.cookies.items()}
    assert whoever(request).status_code == 200
    request = request_with(Origin="https://evil.example")
    request.COOKIES = {name: morsel.value for name, morsel in browser.cookies.items()}
    with pytest.raises(CrossSiteRequest):
        whoever(request)


def test_a_key_and_a_session_are_asked_for_together(people, settings):
    app = Person("header", people)
    app.sign_up()
    token = app.sign_in()["X-Session-Token"]
    key = {"X-API-Key": settings.SERVER_SECRET}

    class View(Staff):
        permission_classes = [HasAPIKey & HasSession.of(people)]

        def list(self, request):
            return answer({})

    class Other(View):
        permission_classes = [HasAPIKey & HasSession.of("others")]

    view, other = View.as_view({"get": "list"}), Other.as_view({"get": "list"})
    assert view(request_with(token, **key)).status_code == 200
    assert view(request_with(token)).status_code == 401
    assert b"missing_api_key" in view(request_with(token)).content
    assert b"not_signed_in" in view(request_with(**key)).content
    assert b"not_signed_in" in other(request_with(token, **key)).content


def test_the_user_is_looked_up_once_a_request(people, monkeypatch):
    app = Person("header", people)
    app.sign_up()
    token = app.sign_in()["X-Session-Token"]
    reads = []
    get = users.get
    monkeypatch.setattr(type(users), "get", lambda self, *given: (reads.append(1), get(*given))[1])
    from core.http.signed_in import signed_in_user

    request = request_with(token)
    assert signed_in_user(request, people) is signed_in_user(request, people)
    assert reads == [1]

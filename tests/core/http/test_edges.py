"""What every request has: errors of one form, ids, limits, CORS, bodies, permissions."""

from __future__ import annotations

import json
import re

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import get_resolver
from rest_framework.permissions import AllowAny
from rest_framework.test import APIRequestFactory

from core.errors import InsufficientScope, MissingAPIKey, NotSignedIn
from core.http import limits, signed_in
from core.http.addresses import client_address
from core.http.permissions import DenyAll, HasAPIKey, HasSession, authenticated, protected
from core.http.views import ServiceViewSet, answer
from tests.conftest import APIClient, assert_problem

BASE = "/service/storage/v1/edges/"


@pytest.mark.parametrize(
    "path",
    ["/service/", "/service/nope", "/service/storage/v2/x", "/nope", "/service/storage/v1/a/b/c/"],
)
@pytest.mark.parametrize("debug", [False, True])
def test_unknown_paths_are_problems(api, path, debug):
    with override_settings(DEBUG=debug and path.startswith("/service/")):
        assert_problem(api.get(path), 404, "not_found")


def test_a_host_that_is_not_ours_is_a_problem(api):
    assert_problem(api.get(BASE, headers={"Host": "evil.example"}), 400, "invalid_request")


def test_an_error_nobody_expected_shows_nothing(api, monkeypatch):
    from storage import services

    def fail(**kwargs):
        raise RuntimeError("secret detail /etc/passwd")

    monkeypatch.setattr(services, "list_documents", fail)
    problem = assert_problem(api.get(BASE), 500, "internal_error")
    assert problem["detail"] == "Something went wrong."


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64])
def test_a_request_id_is_taken_over(api, given):
    assert api.get(BASE, headers={"X-Request-ID": given})["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "a\x1b[31m", "ä", "a;b"])
def test_another_request_id_is_made(api, given):
    made = api.get(BASE, headers={"X-Request-ID": given})["X-Request-ID"]
    assert made != given
    assert len(made) == 32
    assert api.get("/healthz")["X-Request-ID"] != made


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
     "application/json; charset=latin-1", "application/json; charset=utf-16", "application/xml"],
)  # fmt: skip
def test_another_media_type_is_415(api, kind):
    answer = api.generic("POST", BASE, b"{}", content_type=kind)
    assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json"],
)
def test_json_in_utf8_is_taken(api, kind, collection):
    path = f"/service/storage/v1/{collection}/"
    assert api.generic("POST", path, b"{}", content_type=kind).status_code == 201


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "nonsense"])
def test_whatever_is_accepted_json_comes(api, accept):
    answer = api.get(BASE, headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize(
    "body", [b"", b"[", b"nonsense", b"\xef\xbb\xbf{}", b"\xff", b'{"a": 1, "a": 2}', b"NaN"]
)
def test_a_body_that_is_not_strict_json_is_refused(api, body):
    for method, path in (("POST", BASE), ("PUT", BASE + "k"), ("PATCH", BASE + "k")):
        # The test client declares no type for an empty body by itself.
        declared = {"Content-Type": "application/json"}
        answer = api.generic(method, path, body, "application/json", headers=declared)
        assert_problem(answer, 400, "invalid_json")


def test_a_body_over_the_limit_is_413(api, settings):
    settings.COGLEX_MAX_BODY_BYTES = 1000
    body = b'{"a": "' + b"x" * 1000 + b'"}'
    assert_problem(api.send("POST", BASE, body), 413, "body_too_large")


def test_an_answer_over_the_limit_is_413(api, settings, collection):
    path = f"/service/storage/v1/{collection}/"
    api.send("POST", path, [{"text": "x" * 1000} for _ in range(20)])
    settings.COGLEX_MAX_RESULT_BYTES = 10_000
    assert_problem(api.get(path), 413, "result_too_large")
    answer = api.send("POST", path + "aggregate", {"pipeline": []})
    assert_problem(answer, 413, "result_too_large")
    assert len(api.get(path, {"limit": 5}).json()) == 5


def test_answers_are_not_for_shared_caches_or_sniffing(api):
    answer = api.get(BASE)
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["X-Content-Type-Options"] == "nosniff"


class TestCORS:
    LISTED, OTHER = "https://app.example", "https://evil.example"

    @pytest.fixture(autouse=True)
    def listed(self, settings):
        settings.CORS_ALLOWED_ORIGINS = [self.LISTED]

    def preflight(self, api, origin):
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "x-api-key,if-match",
        }
        return APIClient("").generic("OPTIONS", BASE + "k", headers=headers)

    def test_a_listed_origin_may_ask_and_read(self, api):
        asked = self.preflight(api, self.LISTED)
        assert asked.status_code == 200
        assert asked["Access-Control-Allow-Origin"] == self.LISTED
        assert "PUT" in asked["Access-Control-Allow-Methods"]
        assert "x-api-key" in asked["Access-Control-Allow-Headers"]
        read = api.get(BASE, headers={"Origin": self.LISTED})
        assert read["Access-Control-Allow-Origin"] == self.LISTED
        assert "etag" in read["Access-Control-Expose-Headers"]

    def test_another_origin_gets_nothing(self, api):
        asked = self.preflight(api, self.OTHER)
        assert "Access-Control-Allow-Origin" not in asked
        assert asked.status_code in {401, 405}
        read = api.get(BASE, headers={"Origin": self.OTHER})
        assert "Access-Control-Allow-Origin" not in read


class TestLimits:
    @pytest.fixture(autouse=True)
    def limited(self, settings):
        settings.COGLEX_RATE_API_KEY = "3/h"
        cache.clear()
        yield
        cache.clear()

    def test_requests_over_the_rate_are_429(self, api):
        answers = [api.get(BASE) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        problem = assert_problem(answers[3], 429, "rate_limited")
        assert problem["title"] == "Too many requests"
        assert 1 <= int(answers[3]["Retry-After"]) <= 3600
        for given, left in zip(answers, (2, 1, 0, 0, 0), strict=True):
            assert given["RateLimit-Policy"] == '"api-key";q=3;w=3600'
            assert given["RateLimit"].startswith(f'"api-key";r={left};t=')

    def test_paths_and_methods_share_one_count(self, api):
        for call in (
            lambda: api.get(BASE),
            lambda: api.get(BASE.rstrip("/")),
            lambda: api.send("POST", "/service/storage/v1/", {"operations": []}),
        ):
            assert call().status_code != 429
        assert api.head(BASE + "k").status_code == 429

    @pytest.mark.django_db
    def test_each_key_has_its_own_count(self, api, api_with):
        for _ in range(4):
            api.get(BASE)
        assert api_with("storage:read").get(BASE).status_code == 200

    def test_an_unlimited_route_has_no_headers(self, api):
        assert "RateLimit" not in api.get("/healthz")


def test_several_limits_are_members_of_one_header():
    request = RequestFactory().get("/")
    limits.enforce(request, name="a", key="several", rate="5/m")
    limits.enforce(request, name="b", key="several", rate="9/h")
    headers = limits.headers(request)
    assert headers["RateLimit-Policy"] == '"a";q=5;w=60, "b";q=9;w=3600'
    assert headers["RateLimit"].count(";r=") == 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("9.9.9.9", "1.1.1.1", [], "9.9.9.9"),
        ("9.9.9.9", "1.1.1.1", ["10.0.0.0/8"], "9.9.9.9"),
        ("10.0.0.1", "1.1.1.1", ["10.0.0.0/8"], "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1", ["10.0.0.0/8"], "1.1.1.1"),
        ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.2", ["10.0.0.0/8"], "1.1.1.1"),
        ("10.0.0.1", "nonsense, 10.0.0.2", ["10.0.0.0/8"], "10.0.0.2"),
        ("10.0.0.1", "nonsense", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", "", ["10.0.0.0/8"], "10.0.0.1"),
        ("10.0.0.1", "1.1.1.1:55", ["10.0.0.1"], "1.1.1.1"),
        ("::1", "[2001:db8::1]:44", ["::1"], "2001:db8::1"),
        ("", "1.1.1.1", ["unix"], "1.1.1.1"),
        ("", "1.1.1.1", ["10.0.0.1"], "unix"),
    ],
)
def test_forwarded_addresses_count_only_from_trusted_proxies(
    settings, peer, forwarded, proxies, expected
):
    settings.COGLEX_TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


def test_every_view_says_itself_who_may_call_it():
    def views(patterns, prefix=""):
        for pattern in patterns:
            if hasattr(pattern, "url_patterns"):
                yield from views(pattern.url_patterns, prefix + str(pattern.pattern))
            else:
                yield prefix + str(pattern.pattern), pattern.callback

    seen = 0
    for route, view in views(get_resolver().url_patterns):
        cls = getattr(view, "cls", None)
        if cls is not None:
            seen += 1
            assert "permission_classes" in {k for c in cls.__mro__[:3] for k in vars(c)}, route
            assert DenyAll not in cls.permission_classes, route
    assert seen >= 5


def viewset(*permissions):
    class View(ServiceViewSet):
        service = "storage"
        permission_classes = permissions

        def list(self, request):
            return answer({"ok": True})

    return View.as_view({"get": "list"})


def test_a_view_without_permissions_is_denied():
    class View(ServiceViewSet):
        service = "storage"

        def list(self, request):
            return answer({"ok": True})

    response = View.as_view({"get": "list"})(APIRequestFactory().get("/"))
    assert response.status_code == 403


def test_permissions_can_be_composed(api):
    bare = APIRequestFactory().get
    key = {"HTTP_X_API_KEY": api.key}
    assert viewset(HasAPIKey | AllowAny)(bare("/")).status_code == 200
    assert viewset(HasAPIKey & AllowAny)(bare("/")).status_code == 401
    assert viewset(HasAPIKey & AllowAny)(bare("/", **key)).status_code == 200
    assert viewset(~HasAPIKey)(bare("/")).status_code == 200
    assert viewset(~HasAPIKey)(bare("/", **key)).status_code == 403
    assert viewset(HasAPIKey & DenyAll)(bare("/", **key)).status_code == 403


@pytest.mark.django_db
def test_a_plain_view_can_be_protected(api, api_with):
    @protected("storage", "products")
    def view(request):
        return HttpResponse("seen")

    make = RequestFactory()
    with pytest.raises(MissingAPIKey):
        view(make.get("/"))
    assert view(make.get("/", HTTP_X_API_KEY=api.key)).content == b"seen"
    reader = api_with("storage/products:read").key
    assert view(make.get("/", HTTP_X_API_KEY=reader)).content == b"seen"
    with pytest.raises(InsufficientScope):
        view(make.post("/", HTTP_X_API_KEY=reader))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/schema"])
def test_a_method_that_plain_views_do_not_take_is_405(api, path):
    answer = api.send("POST", path)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, HEAD"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/readyz"])
def test_health_is_told_under_any_host(path):
    assert APIClient("").get(path, headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_healthz_touches_nothing_else(django_assert_num_queries, api, monkeypatch):
    def fail(*_):
        raise AssertionError("healthz asked the database")

    monkeypatch.setattr("core.data.client.client", fail)
    answer = APIClient("").get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_readyz_names_what_does_not_answer(monkeypatch):
    from core.errors import DatabaseUnavailable
    from core.http import health

    answer = APIClient("").get("/readyz/")
    assert answer.json() == {
        "status": "ok",
        "parts": {"mongodb": "ok", "django_database": "ok", "cache": "ok"},
    }

    def fail():
        raise DatabaseUnavailable

    monkeypatch.setitem(health.PARTS, "mongodb", fail)
    answer = APIClient("").get("/readyz")
    problem = assert_problem(answer, 503, "unavailable")
    assert [error["parameter"] for error in problem["errors"]] == ["mongodb"]
    assert answer["Retry-After"] == "1"


@pytest.mark.django_db
def test_the_documentation_page_loads_nothing_from_elsewhere(client):
    page = client.get("/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page["Content-Security-Policy"]
    assert b"http://" not in page.content
    assert b"https://" not in page.content
    script = client.get("/docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"):
        path = f"/static/drf_spectacular_sidecar/swagger-ui-dist/{name}"
        assert path.encode() in page.content
        file = client.get(path)
        file.close()
        assert file.status_code == 200


def api_routes():
    """The path and the methods of every route of the services, as OpenAPI names them."""
    for mounted in get_resolver().url_patterns:
        if not str(mounted.pattern).startswith("service/") or not hasattr(mounted, "url_patterns"):
            continue
        for route in mounted.url_patterns:
            path = re.sub(r"<\w+:(\w+)>", r"{\1}", f"/{mounted.pattern}{route.pattern}").rstrip("/")
            one_path = "aggregate" in path
            yield path, {"post"} if one_path else set(route.callback.actions) - {"head"}


def test_the_openapi_document_is_valid_and_complete(client):
    from openapi_spec_validator import validate

    document = json.loads(client.get("/schema").content)
    assert document["openapi"].startswith("3.1")
    validate(document)
    assert {
        path: set(item)
        for path, item in document["paths"].items()
        if not path.startswith("/gateway/")
    } == dict(api_routes())
    for item in document["paths"].values():
        for operation in item.values():
            assert {"summary", "description", "operationId", "tags"} <= set(operation)
            assert {"400", "401", "403", "503", "504"} <= set(operation["responses"])


@pytest.mark.django_db
def test_the_admin_has_the_protections_of_djangos_middleware(settings):
    settings.SECURE_HSTS_SECONDS = 60
    browser = Client(enforce_csrf_checks=True)
    page = browser.get("/admin/login/", secure=True)
    assert page["X-Frame-Options"] == "DENY"
    assert page["Strict-Transport-Security"].startswith("max-age=60")
    assert page["X-Content-Type-Options"] == "nosniff"
    assert browser.post("/admin/login/", {"username": "x", "password": "y"}).status_code == 403


@pytest.mark.parametrize("path", [BASE, "/healthz", "/service/none"])
def test_an_api_path_never_redirects_and_sets_no_cookie(path):
    with override_settings(SECURE_SSL_REDIRECT=True):
        answer = APIClient().get(path)
    assert answer.status_code in {200, 404}
    assert not answer.cookies


class TestSignedIn:
    """Permissions that ask for a user; here the test is the service that keeps them."""

    ADA = {"_id": "1", "_key": "ada", "name": "Ada"}

    @pytest.fixture
    def ada(self, monkeypatch):
        def find(request, collection):
            known = collection in {None, "staff"} and request.META.get("HTTP_X_TEST") == "ada"
            return self.ADA if known else None

        monkeypatch.setattr(signed_in, "_finders", [])
        signed_in.register(find)

    def test_without_a_service_of_users_nobody_is_signed_in(self):
        response = viewset(HasSession)(APIRequestFactory().get("/"))
        assert (response.status_code, json.loads(response.content)["code"]) == (
            401,
            "not_signed_in",
        )

    def test_a_session_of_any_or_of_a_named_collection(self, ada):
        get = APIRequestFactory().get
        signed = {"HTTP_X_TEST": "ada"}
        for permission, status in (
            (HasSession, 200),
            (HasSession.of("staff"), 200),
            (HasSession.of("customers"), 401),
            (HasSession.of("staff") & HasAPIKey, 401),
            (HasSession.of("customers") | HasSession.of("staff"), 200),
        ):
            assert viewset(permission)(get("/", **signed)).status_code == status
        assert viewset(HasSession)(get("/")).status_code == 401
        both = {**signed, "HTTP_X_API_KEY": APIClient().key}
        assert viewset(HasSession.of("staff") & HasAPIKey)(get("/", **both)).status_code == 200

    def test_a_plain_view_gets_the_user_document(self, ada):
        @authenticated("staff")
        def view(request, user):
            return HttpResponse(user["name"])

        assert view(RequestFactory().get("/", HTTP_X_TEST="ada")).content == b"Ada"
        with pytest.raises(NotSignedIn):
            view(RequestFactory().get("/"))

"""The dashboard, and signing in to the admin."""

from __future__ import annotations

from collections import Counter

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import OperationalError, connection

from core import activity, audit, dashboard
from core.data.client import internal
from core.errors import DatabaseUnavailable
from core.http import health
from tests.conftest import assert_problem, sign_in_operator

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def counting(monkeypatch):
    """Nothing was counted yet."""
    internal("activity").delete_many({})
    monkeypatch.setattr(activity, "_counts", Counter())
    monkeypatch.setattr(activity, "_started", True)


def text(response, status=200):
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def operators(settings):
    cache.clear()
    settings.COGLEX_RATE_SIGNIN_KEY = "3/m"
    settings.COGLEX_RATE_SIGNIN_ADDRESS = "5/m"
    yield User.objects.create_superuser("ada", password="seven tall mountains")
    cache.clear()


def sign_in(client, name="ada", password="wrong"):
    return client.post("/admin/login/", {"username": name, "password": password})


def test_the_dashboard_shows_the_parts_and_the_last_day(admin_client, monkeypatch):
    for status in (200, 404, 500):
        activity.note_request(status)
    activity.flush()
    activity.note_request(200)
    activity.flush()
    shown = text(admin_client.get("/admin/"))
    assert "mongodb: answers" in shown
    assert (
        "<strong>4</strong> requests, <strong>1</strong> refused, <strong>1</strong> failed"
        in shown
    )
    for title in ("Documents", "Users", "Files", "Payments"):
        assert f">{title}</a></h2>" in shown


def test_what_could_not_be_written_is_counted_later(monkeypatch):
    activity.note_request(200)
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object):
            raise DatabaseUnavailable

        broken.setattr(activity.hours, "update", fail)
        activity.flush()
    assert sum(hour["requests"] for hour in activity.last_day()) == 0
    activity.note_request(503)
    activity.flush()
    assert sum(hour["requests"] for hour in activity.last_day()) == 2
    assert len(activity.last_day()) == 24


def test_operators_see_the_panels_of_their_parts(client):
    sign_in_operator(client, "archive.view_file")
    shown = text(client.get("/admin/"))
    assert ">Files</a></h2>" in shown
    assert ">Users</a></h2>" not in shown


def test_a_part_or_panel_that_fails_is_said(admin_client, monkeypatch):
    def fail(*_: object):
        raise DatabaseUnavailable

    monkeypatch.setitem(health.PARTS, "mongodb", fail)
    failing = [dashboard.Panel("Broken", "accounts.view_user", "admin:index", fail)]
    monkeypatch.setattr(dashboard, "_panels", failing)
    shown = text(admin_client.get("/admin/"))
    assert "mongodb: does not answer" in shown
    assert DatabaseUnavailable.default_detail in shown


def test_guesses_of_one_operators_password_are_limited(client, operators):
    for _ in range(3):
        assert sign_in(client).status_code == 200
    refused = sign_in(client, "ADA", "seven tall mountains")
    assert "Too many tries" in text(refused, 429)
    assert int(refused["Retry-After"]) > 0
    assert "_auth_user_id" not in client.session


def test_guesses_from_one_address_are_limited(client, operators):
    for number in range(5):
        assert sign_in(client, f"name{number}").status_code == 200
    assert sign_in(client, "another").status_code == 429
    assert client.get("/admin/login/").status_code == 200


def test_signing_in_is_audited_without_the_password(client, operators):
    internal("audit").delete_many({"action": "admin.signin"})
    sign_in(client)
    assert sign_in(client, password="seven tall mountains").status_code == 302
    (good, bad) = audit.find(action="admin.signin")
    assert (good["principal"], good["outcome"]) == ("admin:ada", "success")
    assert (bad["target"], bad["outcome"]) == ("admin:ada", "failure")
    assert "mountains" not in str((good, bad))
    assert "wrong" not in str((good, bad))


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [("away", 503, "database_unavailable"), ("deleted", 400, "invalid_request")],
)
def test_a_session_that_cannot_be_kept_is_an_outage_or_was_ended(
    client, operators, fault, status, code
):
    def refuse(execute, sql, *arguments):
        if sql.startswith('UPDATE "django_session"'):
            if fault == "away":
                raise OperationalError
            execute('DELETE FROM "django_session"', [], *arguments[1:])
        return execute(sql, *arguments)

    with connection.execute_wrapper(refuse):
        answer = sign_in(client, password="seven tall mountains")
    assert_problem(answer, status, code)

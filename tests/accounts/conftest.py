"""People of a user collection, and browsers and apps to sign them in with."""

from __future__ import annotations

import time

import pytest

from accounts.records import users
from core.data.documents import new_key
from tests.conftest import APIClient

BASE = "/service/auth/v1"
PASSWORD = "seven tall mountains"


class Person(APIClient):
    """A client of the API that signs in: as a browser with cookies, or as an app with a header."""

    def __init__(self, way, collection):
        super().__init__()
        self.way, self.collection = way, collection

    def at(self, action, *more, collection=None):
        return "/".join([BASE, action, collection or self.collection, *more, ""])

    def generic(self, method, path, *args, **kwargs):
        response = super().generic(method, path, *args, **kwargs)
        if self.way == "header":
            self.cookies.clear()
            if token := response.headers.get("X-Session-Token"):
                self.always["X-Session-Token"] = token
        return response

    def sign_up(self, key="ada@example.com", password=PASSWORD, **document):
        body = {"_key": key, "_password": password, "document": document}
        return self.send("POST", self.at("signup"), body)

    def sign_in(self, key="ada@example.com", password=PASSWORD, collection=None, **more):
        body = {"_key": key, "_password": password, **more}
        return self.send("POST", self.at("signin", collection=collection), body)

    def session(self, collection=None):
        return self.send("GET", self.at("session", collection=collection))

    @property
    def is_signed_in(self):
        status = self.session().status_code
        assert status in {200, 401}
        return status == 200


@pytest.fixture
def people():
    """The name of a user collection of this test's own."""
    name = f"people-{new_key()}"
    yield name
    users.delete_all({"collection": {"$regex": f"^{name}"}})


@pytest.fixture(params=["cookie", "header"])
def way(request):
    return request.param


@pytest.fixture
def person(way, people, db):
    return Person(way, people)


@pytest.fixture
def another(way, people, db):
    """A second device."""
    return Person(way, people)


@pytest.fixture
def ada(person):
    """A client that Ada is signed in with."""
    assert person.sign_up(name="Ada", age=36).status_code == 201
    assert person.sign_in().status_code == 200
    return person


@pytest.fixture
def one_window(monkeypatch):
    """No limit's window ends while the test counts."""
    end = int(time.time()) + 3000
    monkeypatch.setattr("django_ratelimit.core._get_window", lambda value, period: end)


def record_of(collection, key="ada@example.com"):
    return users.get({"collection": collection, "user._key": key})

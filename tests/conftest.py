"""Fixtures of all tests: one real MongoDB for the session, clients, scratch collections."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from pymongo import timeout

from core.data import client as data_client
from core.data import embedded, indexes
from core.errors import CoglexError
from tests import servers
from tests.processes import eventually

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Begin the run at the servers; pytest-xdist's workers are parts of one."""
    if not hasattr(config, "workerinput"):
        servers.claim()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End it, after the workers have ended."""
    if not hasattr(config, "workerinput"):
        servers.release()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses SQL: pytest-django lets no other test of one process do so."""
    for item in items:
        if "db" in item.fixturenames or item.get_closest_marker("django_db"):  # type: ignore[attr-defined]
            item.add_marker("servers")


@pytest.fixture(scope="session", autouse=True)
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A MongoDB of the session's own, with the commands that inject faults."""
    directory = tmp_path_factory.mktemp("mongodb")
    uri = embedded.attach(directory, test_commands=True)
    settings.MONGODB_URI = uri
    settings.MONGODB_DATABASE = f"tests_{os.getpid()}"
    indexes.ensure_indexes()
    yield uri
    data_client.close()
    embedded.release()


@pytest.fixture
def collection() -> Iterator[str]:
    """The name of a collection that no other test uses."""
    name = f"c{next(_numbers)}"
    yield name
    # An operation that was given up may run on in the database, which waits for it.
    with timeout(60):
        data_client.documents(name).drop()


@pytest.fixture
def documents(collection: str) -> Any:
    """The driver's view of ``collection``, to look behind the API."""
    return data_client.documents(collection)


@pytest.fixture
def impatient(settings: Any) -> Callable[[], AbstractContextManager[None]]:
    """A context in which each of MongoDB's operations has 300 ms.

    What must go well stays outside: a busy machine may take longer for anything.
    """

    @contextmanager
    def impatience() -> Iterator[None]:
        before, settings.COGLEX_QUERY_TIMEOUT_MS = settings.COGLEX_QUERY_TIMEOUT_MS, 300
        data_client.close()
        # To find MongoDB may take longer, too; it is what comes then that has 300 ms.
        eventually(_is_connected)
        try:
            yield
        finally:
            settings.COGLEX_QUERY_TIMEOUT_MS = before
            data_client.close()

    return impatience


def _is_connected() -> bool:
    with suppress(CoglexError):
        data_client.ping()
        return True
    return False


class APIClient(Client):
    """Django's client that sends JSON and the server's key."""

    def __init__(self, key: str | None = None, **headers: str) -> None:
        super().__init__(raise_request_exception=False)
        self.key = settings.SERVER_SECRET if key is None else key
        self.always = headers

    def generic(self, method: str, path: Any, *args: Any, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", None) or {})
        if self.key:
            headers.setdefault("X-API-Key", self.key)
        return super().generic(method, path, *args, headers={**self.always, **headers}, **kwargs)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Send ``body`` as JSON, or as it is when it is bytes."""
        from core.data.encoding import dumps

        raw = body if isinstance(body, bytes) else b"" if body is None else dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.generic(method, path, raw, content_type="application/json", headers=named)


@pytest.fixture
def api() -> APIClient:
    """A client with the bootstrap key."""
    return APIClient()


@pytest.fixture
def api_with() -> Callable[..., APIClient]:
    """Make a client with a managed key of these scopes; needs the ``db`` mark."""
    from core import apikeys

    def make(*scopes: str) -> APIClient:
        _, key = apikeys.create_key(name="test", scopes=list(scopes))
        return APIClient(key)

    return make


def assert_problem(response: Any, status: int, code: str) -> dict[str, Any]:
    """Assert the one form that every error has; returns the problem document."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["code"]) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    assert body["type"] == f"urn:coglex:problem:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == response["X-Request-ID"]
    for error in body.get("errors", []):
        assert {"code", "detail"} <= set(error) <= {"code", "detail", "pointer", "parameter"}
    text = response.content.decode().lower()
    assert not any(
        word in text for word in ("traceback", "pymongo", "site-packages", "mongod.sock")
    )
    return body


def sign_in_operator(client: Client, *permissions: str) -> None:
    """Sign an operator in to the admin who has just these permissions (``accounts.view_user``)."""
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user("op", is_staff=True)
    for permission in permissions:
        app, codename = permission.split(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    client.force_login(user)

"""The services' routes on the short way: to the same views as Django's."""

from __future__ import annotations

import gc

import pytest
from django.urls import Resolver404, get_resolver

from core.http.routes import resolve
from core.http.views import ServiceViewSet

STORAGE, AUTH = "/service/storage/v1", "/service/auth/v1"


@pytest.mark.parametrize(
    "path",
    [
        f"{STORAGE}/",
        f"{STORAGE}/people/",
        f"{STORAGE}/people/ada/",
        f"{STORAGE}/people/aggregate/",
        f"{AUTH}/signin/people/",
        f"{AUTH}/session/",
        "/service/archive/v1/download/abc/",
        "/service/payment/v1/webhook/",
        "/service/storage/v2/people/",
        "/service/",
        "/healthz/",
        "/gateway/nothing/",
        "/admin/login/",
    ],
)
def test_a_path_means_what_django_says(path):
    found, expected = resolve(path), get_resolver().resolve(path)
    assert (found.func, found.args, found.kwargs) == (
        expected.func,
        expected.args,
        expected.kwargs,
    )
    assert (found.route, found.url_name) == (expected.route, expected.url_name)


def test_what_has_no_view_is_not_found():
    for path in ("/", "/nothing/", "/serviced/"):
        with pytest.raises(Resolver404):
            resolve(path)


def views():
    """The ids of all views that are in memory."""
    return {id(each) for each in gc.get_objects() if issubclass(type(each), ServiceViewSet)}


def test_no_view_waits_for_the_collector(api, collection):
    gc.collect()
    gc.disable()
    try:
        before = views()
        assert api.get(f"{STORAGE}/{collection}/").status_code == 200
        assert api.get(f"{STORAGE}/{collection}/k/").status_code == 404
        assert views() <= before
    finally:
        gc.enable()

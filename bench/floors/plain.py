"""Django with one view and no middleware: what the framework costs."""

from __future__ import annotations

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, JsonResponse
from django.urls import path

from bench import data

settings.configure(
    SECRET_KEY="nothing-is-signed-here",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[],
    DATABASES={},
)


def view(_: HttpRequest, key: str) -> JsonResponse:
    return JsonResponse({**data.document(0), "_id": key})


urlpatterns = [path("<str:key>/", view)]

import django  # noqa: E402 - needs the settings

django.setup()
application = WSGIHandler()

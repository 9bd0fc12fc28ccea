"""HTTP for the module: validate, call one service function, answer."""

from __future__ import annotations

from django.http import HttpResponse
from rest_framework.request import Request

from core.http.bodies import integer_parameter, object_body
from core.http.carried import principal
from core.http.idempotency import idempotent
from core.http.permissions import HasAPIKey
from core.http.views import answer
from gateway.kit.views import ModuleViewSet

from . import schema, services


class NoteViewSet(ModuleViewSet):
    """Notes: an API key with the scope ``gateway/${name}:read``, or ``:write``."""

    permission_classes = [HasAPIKey]

    @schema.list_notes
    def list(self, request: Request) -> HttpResponse:
        limit = integer_parameter(request, "limit", 1, 100)
        return answer(services.list_notes(limit=limit or 20))

    @schema.add_note
    @idempotent
    def create(self, request: Request) -> HttpResponse:
        body = object_body(request, {"text"}, set())
        note = services.add_note(text=body["text"], by=principal(request).id)
        return answer(note, status=201)

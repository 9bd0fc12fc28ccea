"""The OpenAPI document and its page, which loads nothing from another host."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@cache
def openapi_document() -> bytes:
    """The OpenAPI 3.1 document as JSON; it cannot change while the process runs."""
    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    rendered: bytes = OpenApiJsonRenderer().render(document)
    return rendered


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document; JSON, which is YAML too."""
    return HttpResponse(openapi_document(), content_type="application/json")


class Page(SpectacularSwaggerSplitView):
    """Swagger UI from this server's own files; its script is this path with ``?script=``."""

    permission_classes = [AllowAny]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(request, *args, **kwargs)
        response["Content-Security-Policy"] = _POLICY
        return response

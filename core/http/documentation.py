"""The OpenAPI document and its page, which loads nothing from another host."""

from __future__ import annotations

from functools import cache
from threading import Lock

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

_making = Lock()
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def openapi_document() -> bytes:
    """The OpenAPI 3.1 document as JSON; it cannot change while the process runs."""
    with _making:
        return _made()


@cache
def _made() -> bytes:
    # Only here: few workers are ever asked, and it is large.
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiJsonRenderer

    document = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    rendered: bytes = OpenApiJsonRenderer().render(document)
    return rendered


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document; JSON, which is YAML too."""
    return HttpResponse(openapi_document(), content_type="application/json")


def page(request: HttpRequest) -> HttpResponseBase:
    """Swagger UI from this server's own files; its script is this path with ``?script=``."""
    from core.http.swagger import Page

    response = Page.as_view()(request)
    response["Content-Security-Policy"] = _POLICY
    return response

"""What the services' viewsets build on: one base class, the JSON in and the JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from core.data.encoding import dumps
from core.http.permissions import refuse


class ServiceViewSet(ViewSet):
    """Base of every service's viewsets.

    ``service`` names the service in scopes; actions in ``read_actions`` need the read scope
    whatever their method.
    """

    service: str
    read_actions: frozenset[str] = frozenset()

    @property
    def resource(self) -> str | None:
        """What of the service a scope may name: the collection in the path, if there is one."""
        return self.kwargs.get("collection")

    @property
    def default_response_headers(self) -> dict[str, str]:
        return {}

    def permission_denied(
        self, request: Request, message: str | None = None, code: str | None = None
    ) -> NoReturn:
        refuse(request)

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """A preflight from a listed origin never gets here."""
        return self.http_method_not_allowed(request)


def answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A JSON answer; ``value`` may hold anything that a document may."""
    return HttpResponse(
        dumps(value), status=status, content_type="application/json", headers=headers
    )

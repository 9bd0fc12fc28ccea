"""What the services' viewsets build on: one base class, the JSON in and the JSON out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from rest_framework.viewsets import ViewSet

from core.data.encoding import dumps
from core.errors import MethodNotAllowed
from core.http.permissions import refuse
from core.http.problems import handle_exception


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

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """REST framework's, without what no service asks of it: parsing, renderers, throttles.

        Permissions and actions get Django's request.
        """
        action = self.action_map.get((request.method or "").lower())
        self.action = action  # type: ignore[assignment]
        try:
            self.initial(request, *args, **kwargs)
            if action is None:
                raise MethodNotAllowed(allowed=[name.upper() for name in self.action_map])
            return getattr(self, action)(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - as REST framework does
            return handle_exception(error, {"view": self, "request": request})
        finally:
            # REST framework has bound the actions to the view: a circle, which would keep the
            # request and its body until the collector comes.
            vars(self).clear()

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Before the action: may this be done?"""
        for permission in self.get_permissions():
            if not permission.has_permission(request, self):
                refuse(request)


def answer(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A JSON answer; ``value`` may hold anything that a document may."""
    return HttpResponse(
        dumps(value), status=status, content_type="application/json", headers=headers
    )

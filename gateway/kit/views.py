"""What the viewsets of modules build on."""

from __future__ import annotations

from core.http.views import ServiceViewSet


class ModuleViewSet(ServiceViewSet):
    """Nobody may call it until ``permission_classes`` says who.

    ``HasAPIKey`` asks for the scope ``gateway/<module>:read`` for GET, HEAD and the actions in
    ``read_actions``, and for ``gateway/<module>:write`` for all else; ``HasSession.of("staff")``
    for somebody who is signed in to that user collection.
    """

    service = "gateway"

    @property
    def resource(self) -> str | None:
        """What scopes name: the module."""
        return type(self).__module__.split(".")[1]

"""Routes of the storage service, below /service/storage/v1/."""

from typing import Any

from django.urls import path

from storage.views import (
    AggregationViewSet,
    CollectionViewSet,
    DocumentViewSet,
    RootViewSet,
)

ONE: dict[str, Any] = {"get": "retrieve", "put": "replace", "patch": "update", "delete": "destroy"}
ALL: dict[str, Any] = {
    "get": "list",
    "post": "create",
    "patch": "update_many",
    "delete": "delete_many",
}

urlpatterns = [
    path(
        "<str:collection>/aggregate/",
        AggregationViewSet.as_view({**ONE, "post": "aggregate"}),
        {"key": "aggregate"},
    ),
    path("<str:collection>/<str:key>/", DocumentViewSet.as_view(ONE)),
    path("<str:collection>/", CollectionViewSet.as_view(ALL)),
    path("", RootViewSet.as_view({"get": "list", "post": "batch"})),
]

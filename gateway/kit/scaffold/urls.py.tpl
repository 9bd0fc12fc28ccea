"""The module's routes, below /gateway/${name}/; each ends in a slash and answers without it too."""

from django.urls import path

from gateway.${name}.views import NoteViewSet

urlpatterns = [
    path("notes/", NoteViewSet.as_view({"get": "list", "post": "create"})),
]

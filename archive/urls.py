"""Routes of the archive service, below /service/archive/v1/."""

from django.urls import path

from archive.views import ArchiveViewSet, DownloadViewSet

as_view = ArchiveViewSet.as_view

urlpatterns = [
    path("upload/", as_view({"post": "upload"})),
    path("list/", as_view({"get": "list"})),
    path("download/<str:file_id>/", DownloadViewSet.as_view({"get": "download"})),
    path("delete/<str:file_id>/", as_view({"delete": "destroy"})),
    path("link/<str:file_id>/", as_view({"post": "link"})),
]

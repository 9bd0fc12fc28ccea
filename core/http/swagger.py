"""The page of the OpenAPI document, apart from its module: REST framework's views are large."""

from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny


class Page(SpectacularSwaggerSplitView):
    """Open to everybody, as the document is."""

    permission_classes = [AllowAny]

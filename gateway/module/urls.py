"""The module's routes, below /gateway/module/; each ends in a slash and answers without it too."""

from django.urls import path

from gateway.module.views import OrderViewSet, StockViewSet

urlpatterns = [
    path("orders/", OrderViewSet.as_view({"get": "list", "post": "create"})),
    path("stock/", StockViewSet.as_view({"get": "list"})),
]

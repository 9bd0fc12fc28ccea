"""Routes of the payment service, below /service/payment/v1/."""

from django.urls import path

from payments.views import PaymentViewSet, WebhookViewSet

as_view = PaymentViewSet.as_view

urlpatterns = [
    path("checkout/", as_view({"post": "checkout"})),
    path("subscription/", as_view({"get": "status", "post": "subscription"})),
    path("webhook/", WebhookViewSet.as_view({"post": "webhook"})),
]

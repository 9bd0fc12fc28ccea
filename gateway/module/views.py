"""HTTP for the module: validate, call one service function, answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from core.errors import InvalidInput
from core.http.bodies import integer_parameter, object_body
from core.http.idempotency import idempotent
from core.http.permissions import HasAPIKey, HasSession
from core.http.signed_in import signed_in_user
from core.http.views import answer
from gateway.kit.views import ModuleViewSet
from gateway.module import schema, services

CUSTOMERS = "customers"


class OrderViewSet(ModuleViewSet):
    """A customer's orders: the shop's API key, and the customer's session."""

    permission_classes = [HasAPIKey, HasSession.of(CUSTOMERS)]

    @schema.list_orders
    def list(self, request: Request) -> HttpResponse:
        return answer(services.list_orders(customer=signed_in_user(request, CUSTOMERS)))

    @schema.place_order
    @idempotent
    def create(self, request: Request) -> HttpResponse:
        body = object_body(request, {"product", "quantity"}, set())
        order = services.place_order(
            customer=signed_in_user(request, CUSTOMERS),
            product=_text(body, "product"),
            quantity=_quantity(body),
        )
        return answer(order, status=201)


class StockViewSet(ModuleViewSet):
    """What runs out: an API key with the scope ``gateway/module:read``."""

    permission_classes = [HasAPIKey]

    @schema.list_short
    def list(self, request: Request) -> HttpResponse:
        below = integer_parameter(request, "below", 1, 1_000_000)
        return answer(services.list_short(below=10 if below is None else below))


def _text(body: dict[str, Any], name: str) -> str:
    if not isinstance(value := body[name], str):
        raise InvalidInput.at(f"/{name}", f"{name} must be a string.")
    return value


def _quantity(body: dict[str, Any]) -> int:
    value = body["quantity"]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= services.MOST:
        detail = f"quantity must be a whole number from 1 to {services.MOST}."
        raise InvalidInput.at("/quantity", detail)
    return value

"""The module's part of the OpenAPI document: decorators for its viewsets' actions."""

from __future__ import annotations

from functools import partial

from core.http.openapi import (
    IDEMPOTENCY_KEY,
    Schema,
    in_query,
    object_of,
    operation,
    success,
)

_operation = partial(operation, "gateway: module")
_STRING: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_ORDER = object_of(
    {
        "_id": _STRING,
        "customer": _STRING,
        "product": _STRING,
        "quantity": _INTEGER,
        "price": {"type": "number"},
        "ordered_at": object_of({"$date": _STRING}),
    }
)
_TEA = {
    "_id": "665f1d2ab7e4c81f9a3d5e70",
    "customer": "665f1d2ab7e4c81f9a3d5e71",
    "product": "tea",
    "quantity": 2,
    "price": 9.0,
    "ordered_at": {"$date": "2026-01-31T12:00:00Z"},
}
_WHO: list[dict[str, list[str]]] = [{"ApiKey": [], "Session": []}]

list_orders = _operation(
    "module_orders",
    "List orders",
    "The signed-in customer's own orders, the newest first.",
    answers=success(200, "The orders", {"type": "array", "items": _ORDER}, [_TEA]),
    auth=_WHO,
)
place_order = _operation(
    "module_order",
    "Order a product",
    "Takes the goods from the stock and writes the order, or neither.",
    parameters=[IDEMPOTENCY_KEY],
    body=object_of({"product": _STRING, "quantity": {**_INTEGER, "minimum": 1, "maximum": 100}}),
    example={"product": "tea", "quantity": 2},
    answers=success(201, "The order", _ORDER, _TEA),
    errors=(404, 409, 422),
    auth=_WHO,
)
list_short = _operation(
    "module_stock",
    "List what runs out",
    "Products of which less than `below` is left.",
    parameters=[in_query("below", "1 to 1,000,000; 10 unless given.", 10, int)],
    answers=success(
        200,
        "The products",
        {"type": "array", "items": object_of({"_id": _STRING, "stock": _INTEGER})},
        [{"_id": "tea", "name": "Darjeeling", "stock": 3}],
    ),
)

"""The payment service's part of the OpenAPI document."""

from __future__ import annotations

from functools import partial

from core.http.openapi import (
    IDEMPOTENCY_KEY,
    Schema,
    in_header,
    in_query,
    object_of,
    operation,
    out_header,
    success,
)

_operation = partial(operation, "payment")

STRING: Schema = {"type": "string"}
TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
ID: Schema = {"type": ["string", "null"]}
STRIPE: Schema = {"type": "object", "additionalProperties": True, "description": "Stripe's object."}
METADATA: Schema = {"type": "object", "additionalProperties": STRING}
RECURRING: Schema = {
    "type": "object",
    "required": ["interval"],
    "properties": {
        "interval": {"enum": ["day", "week", "month", "year"]},
        "interval_count": {"type": "integer", "minimum": 1},
    },
}
PRICE_DATA: Schema = {
    "type": "object",
    "required": ["currency", "unit_amount"],
    "properties": {
        "currency": STRING,
        "unit_amount": {
            "type": "integer",
            "minimum": 0,
            "description": "In the currency's smallest unit.",
        },
        "product": STRING,
        "product_data": {"type": "object", "additionalProperties": True},
        "recurring": RECURRING,
        "tax_behavior": STRING,
    },
}
LINE_ITEMS: Schema = {
    "type": "array",
    "minItems": 1,
    "maxItems": 100,
    "items": {
        "type": "object",
        "properties": {
            "price": STRING,
            "price_data": PRICE_DATA,
            "quantity": {"type": "integer", "minimum": 1, "default": 1},
        },
    },
}
ITEMS = [{"price": "price_tea", "quantity": 2}]
ACTIVE = {"id": "sub_1", "object": "subscription", "status": "active"}
_REPLAYED = out_header("Idempotent-Replayed", "`true`", [201])

checkout = _operation(
    "payment_checkout",
    "Begin a checkout",
    "Stripe's Checkout Session: send the person to its `url`. The customer is found by `email`, "
    "or made; one for each email. `linedata` is taken for `line_items`.",
    parameters=[IDEMPOTENCY_KEY, _REPLAYED],
    body={
        "type": "object",
        "required": ["mode", "success_url", "cancel_url"],
        "properties": {
            "mode": {"enum": ["payment", "subscription", "setup"]},
            "line_items": LINE_ITEMS,
            "success_url": {**STRING, "format": "uri"},
            "cancel_url": {**STRING, "format": "uri"},
            "email": {**STRING, "format": "email"},
            "currency": STRING,
            "payment_method_types": {"type": "array", "items": STRING},
            "metadata": METADATA,
        },
    },
    example={
        "mode": "payment",
        "line_items": ITEMS,
        "success_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/basket",
        "email": "ada@example.com",
    },
    answers=success(
        201,
        "Stripe's Checkout Session",
        STRIPE,
        {"id": "cs_test_1", "object": "checkout.session", "url": "https://checkout.stripe.com/c/1"},
    ),
    errors=(402, 409, 422, 502),
)
subscription = _operation(
    "payment_subscription",
    "Make a subscription",
    "Find or make the customer, and make a subscription schedule with these items. `due` is the "
    "days in which an invoice is to be paid; without it the customer's card is charged. "
    "`iterations` is how often the items are paid before it ends; without it, until it is ended.",
    parameters=[IDEMPOTENCY_KEY, _REPLAYED],
    body={
        "type": "object",
        "required": ["email", "line_items"],
        "properties": {
            "email": {**STRING, "format": "email"},
            "line_items": LINE_ITEMS,
            "due": {"type": "integer", "minimum": 1, "maximum": 730},
            "start_date": {"description": "`now`, Unix seconds, or an RFC 3339 time."},
            "iterations": {"type": "integer", "minimum": 1},
            "metadata": METADATA,
        },
    },
    example={"email": "ada@example.com", "line_items": ITEMS, "due": 14, "iterations": 12},
    answers=success(
        201,
        "The schedule, its subscription, and that one's status",
        object_of(
            {
                "customer": STRING,
                "schedule": STRIPE,
                "subscription": {"oneOf": [STRIPE, {"type": "null"}]},
                "status": STRING,
            }
        ),
        {
            "customer": "cus_1",
            "schedule": {"id": "sub_sched_1", "object": "subscription_schedule"},
            "subscription": ACTIVE,
            "status": "active",
        },
    ),
    errors=(402, 409, 422, 502),
)
status = _operation(
    "payment_status",
    "Who has which subscription",
    "By one of `email`, `customer` and `subscription`, from the mirror that Stripe's events keep "
    "up to date; `refresh=true` asks Stripe. `status` is that of the strongest subscription.",
    parameters=[
        in_query("email", "The customer's email.", "ada@example.com"),
        in_query("customer", "The customer's id at Stripe.", "cus_1"),
        in_query("subscription", "The subscription's id at Stripe.", "sub_1"),
        in_query("refresh", "`true` asks Stripe first.", example=True, schema=bool),
    ],
    answers=success(
        200,
        "The subscriptions",
        object_of(
            {
                "customer": ID,
                "status": STRING,
                "subscriptions": {"type": "array", "items": STRIPE},
                "synced_at": TIME,
            }
        ),
        {
            "customer": "cus_1",
            "status": "active",
            "subscriptions": [ACTIVE],
            "synced_at": "2026-01-31T12:00:00.000Z",
        },
    ),
    errors=(402, 404, 502),
)
webhook = _operation(
    "payment_webhook",
    "Receive an event",
    "For Stripe: verified by the signature over the raw body, stored, and processed once.",
    parameters=[in_header("Stripe-Signature", "Time and signatures.")],
    body=STRIPE,
    auth=[{}],
    answers=success(
        200,
        "Stored",
        object_of({"received": {"type": "boolean"}, "duplicate": {"type": "boolean"}}),
        {"received": True, "duplicate": False},
    ),
)

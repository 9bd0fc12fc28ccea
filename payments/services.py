"""Payments: checkout sessions, subscription schedules, and who has which subscription.

Called by the views and `manage.py payments`. Money moves at Stripe only; what is asked of Stripe
carries an idempotency key that a repetition of the request has again, so that nothing is charged
twice. Raises, beside what each says, PaymentsNotConfigured, PaymentRefused, CardDeclined and
StripeUnavailable.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from core import audit
from core.data.records import Record
from core.errors import InvalidInput, InvalidParameter, PaymentRefused
from payments import mirror, stripe_api
from payments.customers import ensure_customer, forget
from payments.inputs import Params, normalise_email, parse_checkout, parse_subscription
from payments.stripe_api import Object


def request_key(principal: str, route: str, idempotency_key: str | None) -> str:
    """What Stripe knows a request by: the same for repetitions with the client's own key."""
    if idempotency_key is None:
        return secrets.token_hex(32)
    return sha256("\0".join((principal, route, idempotency_key)).encode()).hexdigest()


def create_checkout(
    *, body: object, user: Record | None, request_key: str, principal: str
) -> Object:
    """Stripe's Checkout Session for what the body asks; raises InvalidInput and its kinds."""
    stripe_api.require_configured()
    params, email = parse_checkout(body)
    email = email or _email_of(user)
    if user is not None:
        params["client_reference_id"] = user["_id"]

    def create(customer: str | None, key: str) -> Object:
        named = {} if customer is None else {"customer": customer}
        return stripe_api.create("checkout.session", {**params, **named}, idempotency_key=key)

    session = _for_customer(email, user, request_key, create)
    mirror.keep_new("checkout.session", session)
    _note("checkout", principal, session["id"], mode=params["mode"])
    return session


def _for_customer(
    email: str | None,
    user: Record | None,
    request_key: str,
    create: Callable[[str | None, str], Object],
) -> Object:
    """What ``create`` makes for the customer with this email; for another one, when Stripe does
    not know ours (it was deleted there, or the key is now that of another account)."""
    if email is None:
        return create(None, request_key)
    customer = ensure_customer(email=email, user=user)
    try:
        return create(customer, request_key)
    except PaymentRefused as error:
        said: Any = error.extra.get("stripe", {})
        if (said.get("code"), said.get("param")) != ("resource_missing", "customer"):
            raise
    forget(customer)
    return create(ensure_customer(email=email, user=user), f"{request_key}-again")


def _email_of(user: Record | None) -> str | None:
    """The email that a signed-in user is known by, if the key is one."""
    key = user["_key"] if user else ""
    return key if "@" in key and key.isascii() else None


def create_subscription(
    *, body: object, user: Record | None, request_key: str, principal: str
) -> dict[str, Any]:
    """``{"customer", "schedule", "subscription", "status"}``: the schedule that Stripe made for
    what the body asks, its subscription, and that one's status (``not_started`` before it begins).
    """
    stripe_api.require_configured()
    asked = parse_subscription(body)
    params = _schedule(asked, request_key)

    def create(customer: str | None, key: str) -> Object:
        named = {**params, "customer": customer}
        return stripe_api.create("subscription_schedule", named, idempotency_key=key)

    schedule = _for_customer(asked["email"], user, request_key, create)
    mirror.keep_new("subscription_schedule", schedule)
    customer = schedule.get("customer")
    subscription_id = schedule.get("subscription")
    subscription = mirror.refresh("subscription", subscription_id) if subscription_id else None
    _note("subscription", principal, schedule["id"], customer=customer)
    return {
        "customer": customer,
        "schedule": schedule,
        "subscription": subscription,
        "status": (subscription or schedule).get("status"),
    }


def _schedule(asked: Params, request_key: str) -> Params:
    """Stripe's parameters of a schedule of one phase with these items, without the customer."""
    items = [
        _phase_item(item, f"{request_key}-{at}") for at, item in enumerate(asked["line_items"])
    ]
    phase: Params = {"items": items}
    if asked["metadata"]:
        phase["metadata"] = asked["metadata"]
    if asked["iterations"] is not None:
        recurring = _recurring(asked["line_items"])
        count = recurring["interval_count"] * asked["iterations"]
        phase["duration"] = {"interval": recurring["interval"], "interval_count": count}
    params: Params = {
        "start_date": asked["start_date"],
        "end_behavior": "release" if asked["iterations"] is None else "cancel",
        "phases": [phase],
    }
    if asked["metadata"]:
        params["metadata"] = asked["metadata"]
    if asked["due"] is not None:
        params["default_settings"] = {
            "collection_method": "send_invoice",
            "invoice_settings": {"days_until_due": asked["due"]},
        }
    return params


def _phase_item(item: Params, request_key: str) -> Params:
    """A line item as schedules take it: a product that is made on the fly is made first."""
    data = item.get("price_data")
    if data is None or "product" in data:
        return item
    product = stripe_api.create("product", data["product_data"], idempotency_key=request_key)
    rest = {name: value for name, value in data.items() if name != "product_data"}
    return {**item, "price_data": {**rest, "product": product["id"]}}


def _recurring(items: list[Params]) -> Params:
    """How often the items are paid, which must be the same for all, to say how long it lasts."""
    found = []
    for at, item in enumerate(items):
        recurring = (
            item["price_data"]["recurring"]
            if "price_data" in item
            else stripe_api.price(item["price"]).get("recurring")
        )
        if not recurring:
            raise InvalidInput.at(f"/line_items/{at}/price", "This price is not a recurring one.")
        count = recurring.get("interval_count", 1)
        found.append({"interval": recurring["interval"], "interval_count": count})
    if any(each != found[0] for each in found):
        raise InvalidInput.at("/iterations", "The items are not all paid equally often.")
    return found[0]


def subscription_status(*, field: str, value: str, refresh: bool = False) -> dict[str, Any]:
    """``{"customer", "status", "subscriptions", "synced_at"}`` by ``email``, ``customer`` or
    ``subscription``; from the mirror, or with ``refresh`` from Stripe.
    """
    stripe_api.require_configured()
    if not 1 <= len(value) <= 255 or not value.isprintable():
        raise InvalidParameter.of(field, f"{field} must have 1 to 255 characters.")
    wanted = normalise_email(value) if field == "email" else value
    if refresh:
        _refresh(field, value)
    return mirror.status_by(field, wanted)


def _refresh(field: str, value: str) -> None:
    if field == "subscription":
        mirror.refresh("subscription", value)
        return
    if field == "email":
        customers = list(mirror.refresh_all("customer", email=value))
    else:
        customers = [value] if mirror.refresh("customer", value) else []
    for customer in customers:
        list(mirror.refresh_all("subscription", customer=customer, status="all"))


def _note(event: str, principal: str, target: str, **details: object) -> None:
    audit.record(f"payment.{event}", principal=principal, target=target, **details)  # type: ignore[arg-type]

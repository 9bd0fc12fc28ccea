"""What the stand-in holds: customers, prices, checkouts, schedules, subscriptions, invoices.

Objects have the fields of Stripe's that this project and its tests look at. Every change is an
event, which ``on_event`` is given.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from payments.standin.params import Refused

Object = dict[str, Any]
API_VERSION = "2026-10-28.endive"
_PREFIXES = {
    "customer": "cus",
    "product": "prod",
    "price": "price",
    "checkout.session": "cs_test",
    "subscription_schedule": "sub_sched",
    "subscription": "sub",
    "invoice": "in",
    "refund": "re",
    "payment_intent": "pi",
    "event": "evt",
}
_SECONDS = {"day": 86_400, "week": 604_800, "month": 2_592_000, "year": 31_536_000}


class State:
    """All objects of one account; every method is one step that nothing interrupts."""

    def __init__(self, base: str, on_event: Callable[[Object], None]) -> None:
        self.base = base
        self.lock = threading.RLock()
        self.objects: dict[str, Object] = {}
        self._numbers = itertools.count(1)
        self._on_event = on_event

    def new(self, kind: str, **fields: Any) -> Object:
        """Make an object."""
        made = {
            "id": f"{_PREFIXES[kind]}_{next(self._numbers):06}{secrets.token_hex(6)}",
            "object": kind,
            "created": int(time.time()),
            "livemode": False,
            **fields,
        }
        self.objects[made["id"]] = made
        return made

    def emit(self, type_: str, about: Object) -> None:
        """Tell of a change."""
        event = self.new(
            "event", type=type_, api_version=API_VERSION, data={"object": deepcopy(about)}
        )
        self._on_event(event)

    def get(self, kind: str, object_id: str, param: str = "id") -> Object:
        """An object; raises Stripe's 404, or 400 where it is a parameter."""
        found = self.objects.get(object_id)
        if found is None or found["object"] != kind:
            named = kind.replace("_", " ").replace(".", " ")
            raise Refused(
                f"No such {named}: '{object_id}'",
                status=404 if param == "id" else 400,
                code="resource_missing",
                param=param,
            )
        return found

    def all(self, kind: str, **fields: Any) -> list[Object]:
        """Objects of a kind with these fields, the newest first."""
        found = [
            each
            for each in self.objects.values()
            if each["object"] == kind and all(each.get(k) == v for k, v in fields.items())
        ]
        return found[::-1]

    def create_customer(self, params: Object) -> Object:
        fields = {"email": None, "name": None, "metadata": {}, "deleted": False, **params}
        made = self.new("customer", **fields)
        self.emit("customer.created", made)
        return made

    def delete_customer(self, customer_id: str) -> Object:
        found = self.get("customer", customer_id)
        self.objects[customer_id] = gone = {
            "id": customer_id,
            "object": "customer",
            "deleted": True,
            "created": found["created"],
        }
        for subscription in self.all("subscription", customer=customer_id):
            self.change_subscription(subscription["id"], "canceled")
        self.emit("customer.deleted", found)
        return gone

    def create_price(self, params: Object) -> Object:
        fields = {"recurring": None, "unit_amount": 0, **params}
        if fields["recurring"]:
            fields["recurring"] = {"interval_count": 1, **fields["recurring"]}
        product = fields.pop("product_data", None)
        if product is not None:
            fields["product"] = self.new("product", **product)["id"]
        return self.new("price", **fields)

    def add_prices(self) -> list[str]:
        """The prices that the documentation speaks of; returns their ids."""
        for price_id, name, amount, recurring in (
            ("price_tea", "Tea, a pound", 450, None),
            ("price_club", "Tea club", 900, {"interval": "month"}),
        ):
            made = self.create_price(
                {
                    "currency": "eur",
                    "unit_amount": amount,
                    "recurring": recurring,
                    "product_data": {"name": name},
                }
            )
            self.objects[price_id] = {**self.objects.pop(made["id"]), "id": price_id}
        return ["price_tea", "price_club"]

    def _priced(self, items: list[Object]) -> list[Object]:
        found = []
        for at, item in enumerate(items):
            if "price" in item:
                price = self.get("price", item["price"], f"line_items[{at}][price]")
            else:
                price = self.create_price(item["price_data"])
            found.append({"price": deepcopy(price), "quantity": item.get("quantity", 1)})
        return found

    def create_session(self, params: Object) -> Object:
        if "customer" in params:
            self.get("customer", params["customer"], "customer")
        mode = params.get("mode", "payment")
        items = self._priced(params.get("line_items", []))
        recurring = any(item["price"]["recurring"] for item in items)
        if mode != "setup" and not items:
            raise Refused("Missing required param: line_items.", param="line_items")
        if (mode == "subscription") != recurring and mode != "setup":
            raise Refused(f"The prices do not fit the mode `{mode}`.", param="line_items")
        total = sum(item["price"]["unit_amount"] * item["quantity"] for item in items)
        made = self.new(
            "checkout.session",
            **{
                "mode": mode,
                "status": "open",
                "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
                "customer": None,
                "customer_email": None,
                "client_reference_id": None,
                "metadata": {},
                "amount_total": total if items else None,
                "currency": items[0]["price"]["currency"] if items else params.get("currency"),
                "subscription": None,
                "payment_intent": None,
                "expires_at": int(time.time()) + 86_400,
                **{name: value for name, value in params.items() if name != "line_items"},
            },
        )
        made["url"] = f"{self.base}/pay/{made['id']}"
        made["_items"] = items
        return made

    def pay(self, session_id: str) -> Object:
        """What a person does on the page."""
        session = self.get("checkout.session", session_id)
        if session["status"] != "open":
            raise Refused("This session is over.", code="session_over")
        if session["customer"] is None and session["mode"] != "payment":
            email = session["customer_email"]
            session["customer"] = self.create_customer({"email": email})["id"]
        session["status"] = "complete"
        if session["mode"] == "payment":
            session["payment_status"] = "paid"
            session["payment_intent"] = self.new(
                "payment_intent", amount=session["amount_total"], customer=session["customer"]
            )["id"]
        if session["mode"] == "subscription":
            session["payment_status"] = "paid"
            made = self._subscribe(session["customer"], session["_items"], session["metadata"])
            session["subscription"] = made["id"]
        self.emit("checkout.session.completed", _shown(session))
        return session

    def expire(self, session_id: str) -> Object:
        """What happens when nobody pays."""
        session = self.get("checkout.session", session_id)
        session["status"] = "expired"
        self.emit("checkout.session.expired", _shown(session))
        return session

    def _subscribe(
        self, customer: str, items: list[Object], metadata: Object, **fields: Any
    ) -> Object:
        moment = int(time.time())
        recurring = items[0]["price"]["recurring"]
        end = moment + _SECONDS[recurring["interval"]] * recurring["interval_count"]
        made = self.new(
            "subscription",
            customer=customer,
            status="active",
            metadata=metadata,
            cancel_at_period_end=False,
            collection_method="charge_automatically",
            schedule=None,
            items={
                "object": "list",
                "has_more": False,
                "data": [
                    {
                        "id": f"si_{next(self._numbers):06}",
                        "object": "subscription_item",
                        "current_period_start": moment,
                        "current_period_end": end,
                        **item,
                    }
                    for item in items
                ],
            },
            **fields,
        )
        total = sum(item["price"]["unit_amount"] * item["quantity"] for item in items)
        paid = made["collection_method"] == "charge_automatically"
        invoice = self.new(
            "invoice",
            customer=customer,
            status="paid" if paid else "open",
            amount_due=total,
            amount_paid=total if paid else 0,
            currency=items[0]["price"]["currency"],
            parent={"subscription_details": {"subscription": made["id"]}},
        )
        made["latest_invoice"] = invoice["id"]
        self.emit("customer.subscription.created", made)
        self.emit("invoice.paid" if paid else "invoice.finalized", invoice)
        return made

    def create_schedule(self, params: Object) -> Object:
        customer = self.get("customer", params.get("customer", ""), "customer")
        if customer.get("deleted"):
            raise Refused(
                f"No such customer: '{customer['id']}'", code="resource_missing", param="customer"
            )
        phases = params.get("phases") or []
        if not phases:
            raise Refused("Missing required param: phases.", param="phases")
        items = self._priced(phases[0]["items"])
        if not all(item["price"]["recurring"] for item in items):
            raise Refused("The prices must be recurring.", param="phases[0][items]")
        starts = params.get("start_date", "now")
        begun = starts == "now" or starts <= time.time()
        made = self.new(
            "subscription_schedule",
            customer=customer["id"],
            status="active" if begun else "not_started",
            end_behavior=params.get("end_behavior", "release"),
            metadata=params.get("metadata", {}),
            default_settings=params.get("default_settings", {}),
            phases=phases,
            subscription=None,
        )
        if begun:
            settings = made["default_settings"]
            subscription = self._subscribe(
                customer["id"], items, phases[0].get("metadata", made["metadata"])
            )
            subscription["schedule"] = made["id"]
            subscription["collection_method"] = settings.get(
                "collection_method", "charge_automatically"
            )
            made["subscription"] = subscription["id"]
        self.emit("subscription_schedule.created", made)
        return made

    def change_subscription(self, subscription_id: str, status: str) -> Object:
        """What time, cards and people do to a subscription."""
        found = self.get("subscription", subscription_id)
        found["status"] = status
        ended = "deleted" if status == "canceled" else "updated"
        self.emit(f"customer.subscription.{ended}", found)
        return found

    def create_refund(self, params: Object) -> Object:
        intent = self.get("payment_intent", params.get("payment_intent", ""), "payment_intent")
        made = self.new(
            "refund",
            payment_intent=intent["id"],
            customer=intent["customer"],
            amount=params.get("amount", intent["amount"]),
            status="succeeded",
        )
        self.emit("refund.created", made)
        return made


def _shown(found: Object) -> Object:
    return {name: value for name, value in found.items() if not name.startswith("_")}


def shown(found: Object) -> Object:
    """An object as the API shows it."""
    return deepcopy(_shown(found))

"""What Stripe holds, as we last saw it: customers, checkouts, subscriptions, schedules, invoices.

One record an object: ``{"_id", "kind", "object", "customer", "email", "status", "deleted",
"ticket", "applied", "synced_at"}``; ``object`` is Stripe's own. Whoever is about to ask Stripe
takes a ticket first, and an answer is kept only while no later ticket's answer is: so however many
ask at once, and in whatever order they hear, what is kept in the end is what was asked for last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from core.data.records import Record, Records
from core.errors import StripeObjectNotFound
from core.times import now, rfc3339
from payments import stripe_api
from payments.inputs import normalise_email
from payments.stripe_api import KINDS, Object

# The strongest first: what somebody with several subscriptions counts as.
STRENGTH = (
    "active",
    "trialing",
    "past_due",
    "unpaid",
    "paused",
    "incomplete",
    "canceled",
    "incomplete_expired",
)
NONE = "none"

objects = Records("payment_objects")
objects.declare(("kind", 1), ("email", 1))
objects.declare(("kind", 1), ("customer", 1))
objects.declare(("kind", 1), ("_id", -1))


def refresh(kind: str, object_id: str) -> Object | None:
    """Ask Stripe for an object and keep its answer; None when Stripe has it no more."""
    ticket = take_ticket(kind, object_id)
    try:
        found = stripe_api.retrieve(kind, object_id)
    except StripeObjectNotFound:
        found = {"id": object_id, "object": kind, "deleted": True}
    keep(kind, found, ticket)
    return None if found.get("deleted") else found


def take_ticket(kind: str, object_id: str) -> int:
    """A number that is greater than that of whoever asked before."""
    taken = objects.take(
        {"_id": object_id},
        {"$inc": {"ticket": 1}, "$setOnInsert": {"kind": kind, "applied": 0}},
        upsert=True,
    )
    ticket: int = taken["ticket"] if taken else 1
    return ticket


def keep(kind: str, found: Object, ticket: int) -> bool:
    """Keep Stripe's answer unless a later one is kept already; whether it was."""
    customer = found["id"] if kind == "customer" else _id_of(found.get("customer"))
    change = {
        "kind": kind,
        "object": found,
        "customer": customer,
        "status": found.get("status"),
        "deleted": bool(found.get("deleted")),
        "applied": ticket,
        "synced_at": now(),
    }
    if kind == "customer":
        change["email"] = normalise_email(found.get("email") or "") or None
    done = objects.update({"_id": found["id"], "applied": {"$lt": ticket}}, {"$set": change})
    if customer:
        _spread_email(customer)
    return done


def _spread_email(customer: str) -> None:
    """Let a customer's subscriptions be found by the customer's email, in one look."""
    email = _email_of(customer)
    if email:
        chosen = {"kind": "subscription", "customer": customer, "email": {"$ne": email}}
        objects.update_all(chosen, {"$set": {"email": email}})


def _email_of(customer: str | None) -> str | None:
    record = objects.get({"_id": customer}, {"email": 1}) if customer else None
    return record.get("email") if record else None


def keep_new(kind: str, found: Object) -> None:
    """Keep an object that Stripe has just made for us."""
    keep(kind, found, take_ticket(kind, found["id"]))


def refresh_all(kind: str, **params: object) -> Iterator[str]:
    """Ask Stripe for all objects of a kind that fit, and keep each; the ids, one after the other.

    A list may be older than the ticket that its members are kept with; so those that have changed
    since our last look are asked for by themselves.
    """
    for each in stripe_api.list_all(kind, **params):
        if not is_current(kind, each):
            refresh(kind, each["id"])
        yield each["id"]


def is_current(kind: str, found: Object) -> bool:
    """Whether this, which Stripe has, is what is kept here, and is found by its email."""
    held = by_id(kind, found["id"])
    if held is None or held["object"] != found or held["deleted"]:
        return False
    # Whoever kept it may be just before the email, or may have died there.
    email = _email_of(held["customer"]) if kind == "subscription" else None
    return email is None or held.get("email") == email


def _id_of(value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) else None


def by_id(kind: str, object_id: str) -> Record | None:
    """An object's record, if there is one."""
    return objects.get({"_id": object_id, "kind": kind, "applied": {"$gt": 0}})


def living(kind: str) -> Iterator[str]:
    """The ids of all objects of a kind that are not known to be gone."""
    for some in objects.batches({"kind": kind, "deleted": False}, {"_id": 1}):
        yield from (each["_id"] for each in some)


def find(
    kind: str, chosen: Record | None = None, *, limit: int = 100, skip: int = 0
) -> list[Record]:
    """Records of a kind, the latest ids first."""
    wanted = {"kind": kind, "applied": {"$gt": 0}, **(chosen or {})}
    return objects.find(wanted, order=[("_id", -1)], limit=limit, skip=skip)


def count(kind: str, chosen: Record) -> int:
    """How many records of a kind fit."""
    wanted = {"kind": kind, "deleted": False, **chosen}
    counted = objects.aggregate([{"$match": wanted}, {"$count": "n"}])
    return counted[0]["n"] if counted else 0


def status_by(field: str, value: str) -> dict[str, Any]:
    """``{"customer", "status", "subscriptions", "synced_at"}`` by email, customer or subscription.

    ``status`` is that of the strongest subscription, or ``none``; ``synced_at`` that of the oldest
    knowledge in it, None where there is none.
    """
    kinds = ["subscription"] if field == "subscription" else ["customer", "subscription"]
    key = "_id" if field == "subscription" else field
    found = objects.find(
        {"kind": {"$in": kinds}, key: value, "deleted": False, "applied": {"$gt": 0}}
    )
    subscriptions = [each for each in found if each["kind"] == "subscription"]
    best = min(subscriptions, key=lambda each: _strength(each["status"]), default=None)
    customers = [each["_id"] for each in found if each["kind"] == "customer"]
    return {
        "customer": best["customer"] if best else max(customers, default=None),
        "status": best["status"] if best else NONE,
        "subscriptions": [each["object"] for each in subscriptions],
        "synced_at": rfc3339(min(each["synced_at"] for each in found)) if found else None,
    }


def _strength(status: str | None) -> int:
    return STRENGTH.index(status) if status in STRENGTH else len(STRENGTH)


def is_mirrored(kind: object) -> bool:
    """Whether objects of this kind are kept here."""
    return kind in KINDS

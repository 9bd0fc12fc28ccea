"""Customers: one at Stripe for each email, however many ask at once.

``payment_customers`` says which: ``{"_id": email, "customer", "users"}``. Two who find none make
the same one: what they ask Stripe for has one idempotency key, made of the email.
"""

from __future__ import annotations

from hashlib import sha256

from core.data.records import Record, Records
from core.errors import DuplicateKey
from payments import mirror, stripe_api
from payments.inputs import normalise_email

customers = Records("payment_customers")
customers.declare(("customer", 1))


def ensure_customer(*, email: str, user: Record | None = None) -> str:
    """The id of the customer with this email, found or made; ``user`` is tied to it."""
    key = normalise_email(email)
    held = customers.get({"_id": key})
    customer = held["customer"] if held else None
    if customer is None:
        customer = _found(email) or _made(email, held)
        _hold(key, customer)
    if user is not None:
        customers.update({"_id": key}, {"$addToSet": {"users": user["_id"]}})
    found: str = customer
    return found


def _found(email: str) -> str | None:
    """The oldest of Stripe's customers with this email, in this spelling or in ours."""
    found = [
        each
        for spelling in {email, normalise_email(email)}
        for each in stripe_api.list_all("customer", email=spelling)
        if not each.get("deleted")
    ]
    if not found:
        return None
    oldest = min(found, key=lambda each: (each.get("created", 0), each["id"]))
    mirror.keep_new("customer", oldest)
    return str(oldest["id"])


def _made(email: str, held: Record | None) -> str:
    """A new customer. What was deleted at Stripe must not be replayed: each makes a new key."""
    generation = held.get("generation", 0) if held else 0
    known = normalise_email(email)
    key = sha256(f"customer\0{known}\0{generation}".encode()).hexdigest()
    made = stripe_api.create("customer", {"email": known}, idempotency_key=key)
    mirror.keep_new("customer", made)
    return str(made["id"])


def _hold(email: str, customer: str) -> None:
    try:
        customers.update({"_id": email}, {"$set": {"customer": customer}}, upsert=True)
    except DuplicateKey:
        # Somebody else was first, with the same customer.
        customers.update({"_id": email}, {"$set": {"customer": customer}})


def forget(customer: str) -> None:
    """The customer was deleted at Stripe: the email may have another one."""
    change = {"$set": {"customer": None}, "$inc": {"generation": 1}}
    customers.update_all({"customer": customer}, change)

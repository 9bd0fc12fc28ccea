"""What operators do with payments: shared by the admin and `manage.py payments`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import orjson

from core import audit
from core.data.records import Record
from core.errors import StripeObjectNotFound
from payments import customers, events, mirror, stripe_api
from payments.inputs import normalise_email
from payments.stripe_api import KINDS

# What tells who somebody is, in Stripe's objects; operators see that it is there.
_PERSONAL = frozenset(
    "email customer_email receipt_email name phone address shipping line1 line2 city postal_code "
    "state ip ip_address customer_name customer_phone customer_address customer_shipping "
    "individual_name business_name".split()
)
MASK = "•••"


def list_events(
    *, state: str | None = None, type_: str | None = None, limit: int = 100, skip: int = 0
) -> list[Record]:
    """Events, the newest first, without what Stripe sent."""
    return events.find(state=state, type_=type_, limit=min(limit, 1000), skip=skip)


def count_events(*, since: datetime) -> dict[str, int]:
    """How many events came since then, by state."""
    group = {"_id": "$state", "count": {"$sum": 1}}
    stages: list[Record] = [{"$match": {"received_at": {"$gte": since}}}, {"$group": group}]
    return {each["_id"]: each["count"] for each in events.events.aggregate(stages)}


def count_subscriptions(*, status: str) -> int:
    """How many mirrored subscriptions have this status."""
    return mirror.count("subscription", {"status": status})


def describe_event(event_id: str) -> tuple[Record, Any]:
    """An event's record and what Stripe sent, with personal data masked."""
    record = events.get(event_id)
    return record, masked(orjson.loads(record["raw"]))


def masked(value: Any) -> Any:
    """The value without anything that tells who somebody is."""
    if isinstance(value, list):
        return [masked(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: MASK if name in _PERSONAL and each else masked(each) for name, each in value.items()
    }


def retry_failed(*, by: str, limit: int = 1000) -> Iterator[tuple[str, bool]]:
    """Process failed events now: the id of each, and whether it went well."""
    failed = events.find(state=events.FAILED, limit=limit)
    for record in reversed(failed):
        yield record["_id"], events.retry(event_id=record["_id"], by=by)


def reconcile(
    *, by: str, dry_run: bool = False, seen: Callable[[str, int], None] | None = None
) -> dict[str, dict[str, int]]:
    """Repair the mirror from Stripe: for each kind ``{"at_stripe", "changed", "gone"}``.

    ``changed`` were missing or different here, ``gone`` are not at Stripe any more. ``seen`` is
    told kind and count as it goes on.
    """
    stripe_api.require_configured()
    result = {}
    for kind in KINDS:
        result[kind] = _reconcile(kind, dry_run, seen or (lambda kind, count: None))
    if not dry_run:
        audit.record("payment.reconcile", principal=by, target="mirror", kinds=result)
    return result


def _reconcile(kind: str, dry_run: bool, seen: Callable[[str, int], None]) -> dict[str, int]:
    at_stripe: set[str] = set()
    changed = gone = 0
    everything = {"status": "all"} if kind == "subscription" else {}
    for found in stripe_api.list_all(kind, **everything):
        at_stripe.add(found["id"])
        if not mirror.is_current(kind, found):
            changed += 1
            if not dry_run:
                mirror.refresh(kind, found["id"])
        seen(kind, len(at_stripe))
    for object_id in mirror.living(kind):
        if object_id not in at_stripe and _is_gone(kind, object_id, dry_run):
            gone += 1
    return {"at_stripe": len(at_stripe), "changed": changed, "gone": gone}


def _is_gone(kind: str, object_id: str, dry_run: bool) -> bool:
    """Whether Stripe has this no more; lists may be too old, or too short, to tell."""
    if not dry_run:
        return mirror.refresh(kind, object_id) is None
    try:
        return bool(stripe_api.retrieve(kind, object_id).get("deleted"))
    except StripeObjectNotFound:
        return True


def list_subscriptions(
    *, status: str | None = None, email: str | None = None, limit: int = 100, skip: int = 0
) -> list[Record]:
    """Mirrored subscriptions, the newest first."""
    wanted = {"status": status, "email": email}
    chosen = {name: value for name, value in wanted.items() if value}
    return mirror.find("subscription", chosen, limit=min(limit, 1000), skip=skip)


def forget_customer(*, email: str, by: str) -> int:
    """Drop what is kept here of the customer with this email; returns how many objects.

    The tie, the mirror and Stripe's events about these objects; at Stripe nothing changes.
    """
    key = normalise_email(email)
    held = customers.customers.delete({"_id": key})
    whose: list[Record] = [{"email": key}]
    if held is not None and held["customer"]:
        whose.append({"customer": held["customer"]})
    ids = [each["_id"] for each in mirror.objects.find({"$or": whose}, {"_id": 1})]
    events.events.delete_all({"object_id": {"$in": ids}})
    mirror.objects.delete_all({"_id": {"$in": ids}})
    audit.record(
        "payment.forget", principal=by, target=str(held and held["customer"]), objects=len(ids)
    )
    return len(ids)


def dashboard_url(kind: str, object_id: str) -> str:
    """Where Stripe's dashboard shows an object."""
    place = "" if stripe_api.is_live() else "test/"
    path = {"subscription": "subscriptions", "customer": "customers", "event": "events"}[kind]
    return f"https://dashboard.stripe.com/{place}{path}/{object_id}"

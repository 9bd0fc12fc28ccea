"""The ledger: every event that Stripe sent, stored before anything is done about it.

``payment_events``: ``{"_id", "type", "kind", "object_id", "livemode", "raw", "state", "attempts",
"reason", "received_at", "next_attempt_at", "lease_until", "owner", "processed_at", "expires_at"}``.
``state`` is ``received``, ``processing``, ``processed`` or ``failed``. An event is claimed by one
update; a claim whose holder died may be taken over after a lease. What an event is about is asked
of Stripe, so that the order in which events come does not matter.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import orjson
import structlog
from django.conf import settings

from core import audit
from core.data.records import Record, Records
from core.errors import CoglexError, DuplicateKey, InvalidSignature, PaymentEventNotFound
from core.times import now
from payments import customers, mirror, signals, stripe_api

log = structlog.get_logger("coglex.payments")

RECEIVED, PROCESSING, PROCESSED, FAILED = "received", "processing", "processed", "failed"
LEASE = timedelta(seconds=120)
_FIRST_RETRY = timedelta(seconds=5)
_LAST_RETRY = timedelta(hours=6)

events = Records("payment_events")
events.declare(("state", 1), ("next_attempt_at", 1))
events.declare(("received_at", -1), ("_id", -1))
events.declare(("expires_at", 1), expires=True)


def receive(*, payload: bytes, signature: str) -> tuple[str, bool]:
    """Verify and store a webhook's body; returns the event's id and whether it is new.

    Raises InvalidSignature, also for an event of the other mode (test or live) than our key's.
    """
    event = stripe_api.verified_event(payload, signature)
    if stripe_api.is_configured() and bool(event.get("livemode")) != stripe_api.is_live():
        raise InvalidSignature("The event is of the other mode, test or live, than this server.")
    about = event.get("data", {}).get("object", {}) if isinstance(event.get("data"), dict) else {}
    about = about if isinstance(about, dict) else {}
    moment = now()
    record = {
        "_id": event["id"],
        "type": str(event.get("type", "")),
        "kind": about.get("object"),
        "object_id": about.get("id"),
        "livemode": bool(event.get("livemode")),
        "raw": payload.decode(),
        "state": RECEIVED,
        "attempts": 0,
        "reason": None,
        "received_at": moment,
        "next_attempt_at": moment,
        "processed_at": None,
        "expires_at": moment + timedelta(days=settings.COGLEX_PAYMENT_EVENT_DAYS),
    }
    try:
        events.insert(record)
    except DuplicateKey:
        return event["id"], False
    return event["id"], True


def due(limit: int = 100) -> list[str]:
    """The ids of events that wait to be processed, the longest waiting first."""
    found = events.find(_waiting(), {"_id": 1}, order=[("next_attempt_at", 1)], limit=limit)
    return [each["_id"] for each in found]


def _waiting(*, at_once: bool = False) -> Record:
    """What may be claimed: what waits, or only waits for its time, and what nobody holds."""
    moment = now()
    ready: Record = {"state": {"$in": [RECEIVED, FAILED]}}
    if not at_once:
        ready["next_attempt_at"] = {"$lte": moment}
    return {"$or": [ready, {"state": PROCESSING, "lease_until": {"$lte": moment}}]}


def process(event_id: str, *, at_once: bool = False) -> bool:
    """Process an event, if it waits and nobody else does; whether it is processed now.

    ``at_once`` does not wait for the time of the next attempt. A failure is kept with its reason.
    """
    claimed = _claim(event_id, at_once=at_once)
    if claimed is None:
        return False
    try:
        _apply(orjson.loads(claimed["raw"]), claimed)
    except Exception as error:  # noqa: BLE001 - an operator's receiver may raise anything
        _fail(claimed, error)
        return False
    change = {
        "state": PROCESSED,
        "processed_at": now(),
        "reason": None,
    }
    return events.update(_mine(claimed), {"$set": change})


def _claim(event_id: str, *, at_once: bool) -> Record | None:
    claim = {
        "state": PROCESSING,
        "owner": secrets.token_hex(8),
        "lease_until": now() + LEASE,
    }
    chosen = {"_id": event_id, **_waiting(at_once=at_once)}
    return events.take(chosen, {"$set": claim, "$inc": {"attempts": 1}})


def _mine(claimed: Record) -> Record:
    return {"_id": claimed["_id"], "owner": claimed["owner"], "state": PROCESSING}


def _apply(event: dict[str, Any], claimed: Record) -> None:
    """Bring the mirror up to date, then tell the operator's code."""
    kind, object_id = claimed["kind"], claimed["object_id"]
    current = None
    if mirror.is_mirrored(kind) and isinstance(object_id, str):
        current = mirror.refresh(kind, object_id)
        if kind == "customer" and current is None:
            customers.forget(object_id)
    for signal in (signals.signal_for(claimed["type"]), signals.any_event):
        for _, outcome in signal.send_robust(sender=None, event=event, stripe_object=current):
            if isinstance(outcome, Exception):
                raise outcome


def _fail(claimed: Record, error: Exception) -> None:
    """Keep why it failed, and when to try again: after twice as long each time."""
    code = error.code if isinstance(error, CoglexError) else type(error).__name__
    reason = f"{code}: {error}"[:500]
    pause = min(_FIRST_RETRY * 2 ** min(claimed["attempts"] - 1, 20), _LAST_RETRY)
    log.error("event_failed", event_id=claimed["_id"], type=claimed["type"], code=code)
    change = {"state": FAILED, "reason": reason, "next_attempt_at": now() + pause}
    events.update(_mine(claimed), {"$set": change})


def retry(*, event_id: str, by: str) -> bool:
    """Process a failed event now; whether that went well. Raises PaymentEventNotFound."""
    record = get(event_id)
    done = process(event_id, at_once=True)
    audit.record(
        "payment.retry",
        principal=by,
        target=event_id,
        outcome="success" if done else "failed",
        type=record["type"],
    )
    return done


def get(event_id: str) -> Record:
    """An event's record; raises PaymentEventNotFound."""
    found = events.get({"_id": event_id})
    if found is None:
        raise PaymentEventNotFound
    return found


def find(
    *, state: str | None = None, type_: str | None = None, limit: int = 100, skip: int = 0
) -> list[Record]:
    """Events, the newest first."""
    wanted = {"state": state, "type": type_}
    chosen = {name: value for name, value in wanted.items() if value}
    order = [("received_at", -1), ("_id", -1)]
    return events.find(chosen, {"raw": 0}, order=order, limit=limit, skip=skip)

"""What a client's Idempotency-Key stands for: a claim while it runs, then the stored answer.

Called by ``core.http.idempotency``. The answer is stored in the transaction that did the work,
so that a crash leaves both or neither; a claim whose holder died may be taken over after a lease.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from bson import Binary
from django.utils.crypto import salted_hmac
from pymongo.errors import DuplicateKeyError

from core.data.client import internal, session
from core.data.failures import translated
from core.data.indexes import declare
from core.errors import IdempotencyInFlight, IdempotencyKeyReused

KEPT = timedelta(hours=24)
# Longer than any request runs: database operations end after seconds.
LEASE = timedelta(seconds=60)

declare("idempotency", ("expires_at", 1), expires=True)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to run the request, and to store its answer."""

    id: str
    owner: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer of the call that ran."""

    status: int
    headers: dict[str, str]
    body: bytes


def claim(*, principal: str, route: str, key: str, body: bytes) -> Claim | StoredAnswer:
    """Claim the key for this body, or get the answer that is stored under it.

    Raises IdempotencyKeyReused for another body, IdempotencyInFlight while the first call runs.
    """
    name = sha256("\0".join((principal, route, key)).encode()).hexdigest()
    # Keyed, because the body may hold a password.
    fingerprint = salted_hmac("coglex.idempotency", body, algorithm="sha256").hexdigest()
    mine = Claim(name, secrets.token_hex(16))
    now = datetime.now(UTC).replace(tzinfo=None)
    record = {
        "_id": name,
        "owner": mine.owner,
        "fingerprint": fingerprint,
        "state": "running",
        "started_at": now,
        "expires_at": now + KEPT,
    }
    with translated():
        try:
            internal("idempotency").insert_one(record)
        except DuplicateKeyError:
            return _existing(mine, fingerprint, record)
    return mine


def _existing(mine: Claim, fingerprint: str, record: dict[str, Any]) -> Claim | StoredAnswer:
    held = internal("idempotency").find_one({"_id": mine.id})
    now = record["started_at"]
    if held is not None and held["expires_at"] > now:
        if held["fingerprint"] != fingerprint:
            raise IdempotencyKeyReused
        if held["state"] == "done":
            return StoredAnswer(held["status"], held["headers"], bytes(held["body"]))
        if held["started_at"] > now - LEASE:
            raise IdempotencyInFlight
    # Expired, or its holder died: of several who see that, one takes it over.
    seen = {"_id": mine.id, "owner": held["owner"], "state": held["state"]} if held else None
    taken = seen and internal("idempotency").replace_one(seen, record).matched_count
    if not taken:
        raise IdempotencyInFlight
    return mine


def store(mine: Claim, answer: StoredAnswer) -> None:
    """Keep the answer for whoever calls again; raises IdempotencyInFlight if the claim was lost."""
    with translated():
        result = internal("idempotency").update_one(
            {"_id": mine.id, "owner": mine.owner, "state": "running"},
            {
                "$set": {
                    "state": "done",
                    "status": answer.status,
                    "headers": answer.headers,
                    "body": Binary(answer.body),
                }
            },
            session=session(),
        )
    if not result.matched_count:
        raise IdempotencyInFlight


def abandon(mine: Claim) -> None:
    """Give the claim back: nothing was done, and the next call may try."""
    with translated():
        internal("idempotency").delete_one(
            {"_id": mine.id, "owner": mine.owner, "state": "running"}
        )

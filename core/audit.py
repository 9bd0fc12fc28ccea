"""The record of who did what: written by services, kept for settings.COGLEX_AUDIT_DAYS.

It holds names, counts and outcomes, never a secret or the content of a document.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings

from core.data.records import Records
from core.errors import CoglexError

log = structlog.get_logger("coglex.audit")
entries = Records("audit")

entries.declare(("expires_at", 1), expires=True)
entries.declare(("at", -1))
entries.declare(("action", 1), ("at", -1))


def record(
    action: str, *, principal: str, target: str, outcome: str = "success", **details: object
) -> None:
    """Write one entry, in the transaction that is under way, if one is.

    Request id, address and user agent come from the request's log context. What was done stays
    done when the entry cannot be written: that is logged as an error.
    """
    now = datetime.now(UTC)
    context = structlog.contextvars.get_contextvars()
    entry = {
        "at": now,
        "action": action,
        "principal": principal,
        "target": target,
        "outcome": outcome,
        "request_id": context.get("request_id"),
        "address": context.get("address"),
        "user_agent": context.get("user_agent"),
        "details": details,
        "expires_at": now + timedelta(days=settings.COGLEX_AUDIT_DAYS),
    }
    try:
        entries.insert(entry)
    except CoglexError as error:
        log.error("audit_not_written", action=action, target=target, code=error.code)


def find(
    *,
    action: str | None = None,
    principal: str | None = None,
    outcome: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> list[dict[str, Any]]:
    """Entries that fit, the newest first; times are aware, ``until`` exclusive."""
    wanted = {"action": action, "principal": principal, "outcome": outcome}
    chosen: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    span = {"$gte": since, "$lt": until}
    if span := {name: time for name, time in span.items() if time is not None}:
        chosen["at"] = span
    return entries.find(chosen, order=[("at", -1), ("_id", -1)], limit=limit)

"""The record of who did what: written by services, kept for settings.COGLEX_AUDIT_DAYS.

It holds names, counts and outcomes, never a secret or the content of a document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings

from core import logs
from core.data.records import Records
from core.errors import CoglexError, NotFound
from core.times import aware, rfc3339

SHOWN = ("action", "principal", "target", "outcome", "request_id", "address", "user_agent")
_PAGE = 1000
# Ids tell apart, and put in order, what has one time.
_NEWEST_FIRST = (("at", -1), ("_id", -1))

log = structlog.get_logger("coglex.audit")
entries = Records("audit")

entries.declare(("expires_at", 1), expires=True)
entries.declare(("at", -1), ("_id", -1))
entries.declare(("action", 1), ("at", -1), ("_id", -1))


def record(
    action: str, *, principal: str, target: str, outcome: str = "success", **details: object
) -> None:
    """Write one entry, in the transaction that is under way, if one is.

    Request id, address and user agent come from the request's log context. What was done stays
    done when the entry cannot be written: that is logged as an error.
    """
    now = datetime.now(UTC)
    context = logs.context()
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


def find(*, limit: int = 100, skip: int = 0, **wanted: Any) -> list[dict[str, Any]]:
    """Entries that fit, the newest first.

    ``wanted`` holds ``action`` (one that ends in a dot stands for all that begin with it),
    ``principal``, ``target``, ``outcome``, and the aware times ``since`` and, exclusive, ``until``.
    """
    return entries.find(_filter(**wanted), order=_NEWEST_FIRST, limit=limit, skip=skip)


def _filter(
    *,
    action: str | None = None,
    principal: str | None = None,
    target: str | None = None,
    outcome: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> dict[str, Any]:
    wanted = {"principal": principal, "target": target, "outcome": outcome}
    chosen: dict[str, Any] = {name: value for name, value in wanted.items() if value}
    if action:
        family = {"$regex": f"^{re.escape(action)}"}
        chosen["action"] = family if action.endswith(".") else action
    span = {"$gte": since, "$lt": until}
    if span := {name: time for name, time in span.items() if time is not None}:
        chosen["at"] = span
    return chosen


def get(entry_id: str) -> dict[str, Any]:
    """One entry; raises NotFound."""
    found = entries.by_object_id(entry_id)
    if found is None:
        raise NotFound("There is no such entry; it may have expired.")
    return found


def walk(**wanted: Any) -> Iterator[dict[str, Any]]:
    """All entries that fit, as ``find`` does, without holding them."""
    chosen = page = _filter(**wanted)
    while True:
        found = entries.find(page, order=_NEWEST_FIRST, limit=_PAGE)
        yield from found
        if len(found) < _PAGE:
            return
        page = {"$and": [chosen, _after(found[-1])]}


def _after(entry: dict[str, Any]) -> dict[str, Any]:
    """What comes after an entry, however many have its time; the first part bounds the index."""
    at, entry_id = aware(entry["at"]), entry["_id"]
    return {"at": {"$lte": at}, "$or": [{"at": {"$lt": at}}, {"_id": {"$lt": entry_id}}]}


def count_by_action(*, since: datetime) -> dict[str, dict[str, int]]:
    """``{action: {outcome: count}}`` since then."""
    group = {"_id": {"action": "$action", "outcome": "$outcome"}, "count": {"$sum": 1}}
    counted: dict[str, dict[str, int]] = {}
    for each in entries.aggregate([{"$match": {"at": {"$gte": since}}}, {"$group": group}]):
        counted.setdefault(each["_id"]["action"], {})[each["_id"]["outcome"]] = each["count"]
    return counted


def plain(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as it is shown and exported: its id and times as text, in this order."""
    return {
        "_id": str(entry["_id"]),
        "at": rfc3339(entry["at"]),
        **{name: entry.get(name) for name in SHOWN},
        "details": entry["details"],
    }

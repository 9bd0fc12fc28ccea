"""The module's domain: plain values in and out, errors of ``core.errors``, no HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.errors import InvalidInput
from gateway.kit.interface import Coglex

coglex = Coglex(__name__)

NOTES = "${name}_notes"
LONGEST = 1000


def add_note(*, text: object, by: str) -> dict[str, Any]:
    """Keep a note of at most 1,000 characters; returns it. Raises InvalidInput."""
    if not isinstance(text, str) or not 1 <= len(text) <= LONGEST:
        raise InvalidInput.at("/text", f"text must be a string of 1 to {LONGEST} characters.")
    note = {"text": text, "by": by, "written_at": datetime.now(UTC)}
    key = coglex.documents.insert(NOTES, note)
    coglex.audit.record("add_note", target=f"{NOTES}/{key}", principal=by)
    return {"_id": key, **note}


def list_notes(*, limit: int) -> list[dict[str, Any]]:
    """The newest notes first."""
    return coglex.documents.find(NOTES, sort="-written_at", limit=limit)

"""The module's part of the OpenAPI document: decorators for its viewsets' actions."""

from __future__ import annotations

from functools import partial

from core.http.openapi import IDEMPOTENCY_KEY, Schema, in_query, object_of, operation, success

_operation = partial(operation, "gateway: ${name}")
_STRING: Schema = {"type": "string"}
_NOTE = object_of(
    {"_id": _STRING, "text": _STRING, "by": _STRING, "written_at": object_of({"$$date": _STRING})}
)
_EXAMPLE = {
    "_id": "665f1d2ab7e4c81f9a3d5e70",
    "text": "Order more tea.",
    "by": "cgx_3f9a1c07",
    "written_at": {"$$date": "2026-01-31T12:00:00Z"},
}

list_notes = _operation(
    "${name}_notes",
    "List notes",
    "The newest notes first.",
    parameters=[in_query("limit", "1 to 100; 20 unless given.", 20, int)],
    answers=success(200, "The notes", {"type": "array", "items": _NOTE}, [_EXAMPLE]),
)
add_note = _operation(
    "${name}_add_note",
    "Add a note",
    "Keeps a note of 1 to 1,000 characters.",
    parameters=[IDEMPOTENCY_KEY],
    body=object_of({"text": _STRING}),
    example={"text": "Order more tea."},
    answers=success(201, "The note", _NOTE, _EXAMPLE),
    errors=(409, 422),
)

"""The audit as a file: NDJSON or CSV, written while it is read.

Called by the admin and by `manage.py audit export`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from core import audit
from core.data.encoding import dumps

FORMS = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def written(form: str, entries: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """The entries in a form of ``FORMS``, a line at a time."""
    plain = map(audit.plain, entries)
    return _csv(plain) if form == "csv" else (dumps(entry) + b"\n" for entry in plain)


def _csv(entries: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    names = ("_id", "at", *audit.SHOWN, "details")
    yield _row(names)
    for entry in entries:
        shown = {**entry, "details": dumps(entry["details"]).decode()}
        yield _row([_cell(shown[name]) for name in names])


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _row(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", "backslashreplace")

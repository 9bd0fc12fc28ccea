"""Internal records that are written once and read by time, such as the audit log.

Called by core's own modules, which do not know the driver.
"""

from __future__ import annotations

from typing import Any

from core.data.client import internal, session
from core.data.failures import translated
from core.data.indexes import declare

__all__ = ["add", "declare", "newest"]


def add(name: str, record: dict[str, Any]) -> None:
    """Write a record, in the transaction that is under way, if one is."""
    with translated():
        internal(name).insert_one(record, session=session())


def newest(name: str, chosen: dict[str, Any], *, by: str, limit: int) -> list[dict[str, Any]]:
    """Up to ``limit`` records that fit, with the greatest ``by`` first."""
    with translated():
        return list(internal(name).find(chosen).sort([(by, -1), ("_id", -1)]).limit(limit))

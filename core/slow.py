"""Slow operations of the last two weeks, by their shape: what `manage.py indexes suggest` reads.

``core.activity`` has each worker keep what its data layer told.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any

import orjson

from core.data import monitoring
from core.data.records import Records
from core.times import now

_DAYS = 14
operations = Records("slow_operations")
operations.declare(("expires_at", 1), expires=True)


def keep() -> None:
    """Write down what was slow in this process since this was last called."""
    for told in monitoring.take_slow():
        shape = {name: told[name] for name in ("collection", "operation", "filter", "sort")}
        text = orjson.dumps(shape).decode()
        moment = now()
        operations.update(
            {"_id": sha256(text.encode()).hexdigest()[:32]},
            {
                "$setOnInsert": {"collection": told["collection"], "shape": text},
                "$inc": {"count": 1, "milliseconds": told["milliseconds"]},
                "$max": {"worst": told["milliseconds"]},
                "$set": {"last_at": moment, "expires_at": moment + timedelta(days=_DAYS)},
            },
            upsert=True,
        )


def find(*, collection: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
    """Shapes of slow operations, those that cost most first.

    ``{"collection", "operation", "filter", "sort", "count", "milliseconds", "worst", "last_at"}``.
    """
    chosen = {} if collection is None else {"collection": collection}
    found = operations.find(chosen, order=[("milliseconds", -1), ("_id", 1)], limit=limit)
    told = ("count", "milliseconds", "worst", "last_at")
    return [
        {**orjson.loads(record["shape"]), **{name: record[name] for name in told}}
        for record in found
    ]

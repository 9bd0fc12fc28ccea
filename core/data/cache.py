"""Django's cache in MongoDB: shared by all processes, counting atomically, without a server more.

What it holds outlives processes, but MongoDB may lose its last moment when that goes down itself.
Named in settings.CACHES. Values are what BSON can hold: JSON-like values, bytes and datetimes;
anything else is a TypeError (no pickle: a database is not trusted to hold code).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson.errors import BSONError
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from core.data.client import internal
from core.data.commands import find_one, write_one
from core.data.failures import translated
from core.data.indexes import declare
from core.turns import waiting

declare("cache", ("expires_at", 1), expires=True)

Timeout = float | None | Any


# For counters nobody waits until they are on the disk.
_ACKNOWLEDGED = WriteConcern(w=1)


class MongoCache(BaseCache):
    """The cache backend; every method costs one operation of the database, ``add`` at most two."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    @property
    def _entries(self) -> Collection[dict[str, Any]]:
        return internal("cache")

    def _key(self, key: Any, version: int | None) -> str:
        made: str = self.make_and_validate_key(key, version=version)
        return made

    def _expiry(self, timeout: Timeout) -> datetime | None:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return None if seconds is None else _now() + timedelta(seconds=float(seconds))

    def _entry(self, value: Any, timeout: Timeout) -> dict[str, Any]:
        return {"value": checked(value), "expires_at": self._expiry(timeout)}

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with translated():
            entry = self._entries.find_one({"_id": self._key(key, version), **_alive()})
        return default if entry is None else entry["value"]

    def set(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        with translated(), waiting():
            self._put({"_id": self._key(key, version)}, self._entry(value, timeout))

    def add(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        # To find that out by a write that fails takes twice as long.
        if self.has_key(key, version):
            return False
        # Matches an expired entry only; one that is live by now makes the upsert collide.
        expired = {"_id": self._key(key, version), "expires_at": {"$lte": _now()}}
        with translated(), waiting():
            try:
                self._put(expired, self._entry(value, timeout))
            except DuplicateKeyError:
                return False
        return True

    def _put(self, chosen: dict[str, Any], entry: dict[str, Any]) -> None:
        """Replace the entry that is chosen, or make it; raises DuplicateKeyError."""
        put = {"q": chosen, "u": entry, "upsert": True}
        self._write({"update": self._entries.name, "updates": [put]})

    def _write(self, command: dict[str, Any]) -> dict[str, Any]:
        return write_one(self._entries.database, command, _ACKNOWLEDGED)

    def touch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        change = {"$set": {"expires_at": self._expiry(timeout)}}
        with translated(), waiting():
            result = self._entries.update_one({"_id": self._key(key, version), **_alive()}, change)
        return result.matched_count > 0

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        with translated(), waiting():
            found = self._write(
                {
                    "findAndModify": self._entries.name,
                    "query": {
                        "_id": self._key(key, version),
                        "value": {"$type": "number"},
                        **_alive(),
                    },
                    "update": {"$inc": {"value": delta}},
                    "new": True,
                }
            )
        entry = found["value"]
        if entry is None:
            raise ValueError(f"Key {key!r} not found")
        value: int = entry["value"]
        return value

    def decr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return self.incr(key, -delta, version)

    def delete(self, key: Any, version: int | None = None) -> bool:
        with translated(), waiting():
            result = self._entries.delete_one({"_id": self._key(key, version), **_alive()})
        return result.deleted_count > 0

    def has_key(self, key: Any, version: int | None = None) -> bool:
        with translated():
            found = find_one(self._entries, {"_id": self._key(key, version), **_alive()})
        return found is not None

    def get_many(self, keys: Any, version: int | None = None) -> dict[Any, Any]:
        made = {self._key(key, version): key for key in keys}
        with translated():
            found = list(self._entries.find({"_id": {"$in": list(made)}, **_alive()}))
        return {made[entry["_id"]]: entry["value"] for entry in found}

    def clear(self) -> None:
        with translated(), waiting():
            self._entries.delete_many({})


def _now() -> datetime:
    return datetime.now(UTC)


def _alive() -> dict[str, Any]:
    """The database removes expired entries within a minute; until then they do not count."""
    return {"$or": [{"expires_at": None}, {"expires_at": {"$gt": _now()}}]}


def checked(value: Any) -> Any:
    """The value, as it is; raises TypeError for one that a cache of ours cannot hold."""
    try:
        bson.encode({"value": value})
    except (BSONError, OverflowError) as error:
        raise TypeError(f"The cache cannot hold a {type(value).__name__}.") from error
    return value

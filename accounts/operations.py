"""What operators do with users: shared by the admin and `manage.py users`; all of it audited.

Users are named by their collection and their ``_id``; ``find_id`` has the ``_id`` for a ``_key``.
"""

from __future__ import annotations

from typing import Any

from accounts import passwords, records, services
from accounts.records import users
from accounts.services import Document, note
from core.data.compiler import compile_filter
from core.data.names import check_collection
from core.data.pages import compiled
from core.data.records import Record
from core.errors import UserNotFound
from core.times import now, rfc3339

MAX_FOUND = 1000


def list_collections() -> list[dict[str, Any]]:
    """``{"name", "count"}`` of each user collection."""
    return records.collections()


def list_users(
    *, collection: str, query: object = None, limit: int = 100, skip: int = 0
) -> list[Document]:
    """Users whose document meets the query, each as ``describe`` says; the oldest first."""
    check_collection(collection)
    condition = compiled("query", compile_filter, query)
    found = records.search(collection, condition, limit=min(limit, MAX_FOUND), skip=skip)
    return [describe(record) for record in found]


def find_id(*, collection: str, key: str) -> str:
    """The ``_id`` of the user with this ``_key``, or this ``_id``; raises UserNotFound."""
    check_collection(collection)
    record = records.by_key(collection, services.normalise_key(key))
    user_id: str = record["_id"] if record else records.by_id(collection, key)["_id"]
    return user_id


def describe(record: Record) -> Document:
    """A user as operators see one: the document, the state and the sessions; never the hash."""
    times = ("created_at", "password_changed_at", "last_signed_in_at")
    return {
        "user": record["user"],
        "disabled": record["disabled"],
        **{name: rfc3339(record[name]) if record[name] else None for name in times},
        "sessions": services.living_sessions(record),
    }


def get_user(*, collection: str, user_id: str) -> Document:
    """One user, as ``describe`` says; raises UserNotFound."""
    return describe(records.by_id(check_collection(collection), user_id))


def _change(collection: str, user_id: str, change: Record) -> None:
    if not users.update({"_id": user_id, "collection": check_collection(collection)}, change):
        raise UserNotFound


def disable_user(*, collection: str, user_id: str, by: str) -> None:
    """Let nobody in as this user; sessions end at once."""
    _change(collection, user_id, {"$set": {"disabled": True, "sessions": []}})
    note("disable", by, collection, user_id)


def enable_user(*, collection: str, user_id: str, by: str) -> None:
    """Let the user sign in again."""
    _change(collection, user_id, {"$set": {"disabled": False}})
    note("enable", by, collection, user_id)


def set_password(*, collection: str, user_id: str, password: str, by: str) -> None:
    """Give the user another password; sessions end at once. Raises WeakPassword."""
    user = records.by_id(check_collection(collection), user_id)["user"]
    passwords.check_strength(password, key=user["_key"], document=user)
    change = {
        "password": passwords.hash_password(password),
        "password_changed_at": now(),
        "sessions": [],
    }
    _change(collection, user_id, {"$set": change})
    note("set_password", by, collection, user_id)


def set_fields(*, collection: str, user_id: str, document: object, by: str) -> None:
    """Set fields of the user document, as the user could; raises ReservedField, UserNotFound."""
    new = services.new_document(document)
    if new:
        _change(collection, user_id, {"$set": {f"user.{name}": new[name] for name in new}})
    note("set_fields", by, collection, user_id, fields=sorted(new))


def end_sessions(*, collection: str, user_id: str, by: str, session_id: str | None = None) -> int:
    """End one session of the user, or all; returns how many."""
    chosen: Record = {} if session_id is None else {"id": session_id}
    found = get_user(collection=collection, user_id=user_id)["sessions"]
    _change(collection, user_id, {"$pull": {"sessions": chosen}})
    ended = sum(1 for entry in found if session_id in {None, entry["id"]})
    note("end_sessions", by, collection, user_id, sessions=ended)
    return ended


def delete_user(*, collection: str, user_id: str, by: str) -> None:
    """Delete the user and, with them, their sessions."""
    if users.delete({"_id": user_id, "collection": check_collection(collection)}) is None:
        raise UserNotFound
    note("delete", by, collection, user_id)

"""The users as they are kept: one internal record each, with the sessions that live.

``{"_id", "collection", "user": {"_id", "_key", …document}, "password", "disabled", "created_at",
"password_changed_at", "last_signed_in_at", "sessions": [{"id", "signed_in_at", "last_seen_at",
"expires_at", "ip", "user_agent"}]}``

What clients see and may filter by is ``user``; the hash is beside it, out of any filter's reach.
That a session lives is said here, in one document with the password, so that one write changes
a password and ends the others.
"""

from __future__ import annotations

from typing import Any

from core.data.records import Record, Records
from core.errors import DuplicateKey, KeyTaken, UserNotFound

MAX_SESSIONS = 100
WITHOUT_PASSWORD = {"password": 0}

users = Records("users")
users.declare(("collection", 1), ("user._key", 1), unique=True)


def add(record: Record) -> None:
    """Keep a new user; raises KeyTaken."""
    try:
        users.insert(record)
    except DuplicateKey:
        raise KeyTaken from None


def by_key(collection: str, key: str) -> Record | None:
    """The user with this ``_key``, password hash and all."""
    return users.get({"collection": collection, "user._key": key})


def by_id(collection: str, user_id: str) -> Record:
    """The user with this ``_id``; raises UserNotFound."""
    found = users.get({"_id": user_id, "collection": collection}, WITHOUT_PASSWORD)
    if found is None:
        raise UserNotFound
    return found


def with_session(collection: str, user_id: str, session_id: str) -> Record | None:
    """The user who may be here by this session: not disabled, and the session not ended."""
    chosen = {
        "_id": user_id,
        "collection": collection,
        "disabled": False,
        "sessions.id": session_id,
    }
    return users.get(chosen)


def meets(user_id: str, condition: Record) -> bool:
    """Whether the user's document, and nothing beside it, meets a compiled filter."""
    return bool(
        users.aggregate(
            [
                {"$match": {"_id": user_id}},
                {"$replaceWith": "$user"},
                {"$match": condition},
                {"$project": {"_id": 1}},
            ]
        )
    )


def search(collection: str, condition: Record, *, limit: int, skip: int = 0) -> list[Record]:
    """Users whose document meets a compiled filter; records without the hash."""
    return users.aggregate(
        [
            {"$match": {"collection": collection}},
            {"$project": WITHOUT_PASSWORD},
            {"$replaceWith": {"$mergeObjects": ["$user", {"_record": "$$ROOT"}]}},
            {"$match": condition},
            {"$sort": {"_id": 1}},
            {"$skip": skip},
            {"$limit": limit},
            {"$replaceWith": "$_record"},
        ]
    )


def collections() -> list[dict[str, Any]]:
    """``{"name", "count"}`` of each user collection."""
    return users.aggregate(
        [
            {"$group": {"_id": "$collection", "count": {"$sum": 1}}},
            {"$sort": {"_id": 1}},
            {"$project": {"_id": 0, "name": "$_id", "count": 1}},
        ]
    )

"""The domain of users and their sessions, as functions on plain values.

Called by the API's views, the gateway's modules and, beside ``operations``, the admin and
commands. All raise InvalidCollection for a name that is none. A user document is
``{"_id", "_key", …document}``; the password's hash never leaves ``accounts.records``.
"""

from __future__ import annotations

import secrets
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings

from accounts import passwords, records, sessions
from accounts.records import users
from accounts.sessions import Claim
from core import audit
from core.data.compiler import compile_filter
from core.data.documents import new_key
from core.data.encoding import decode_document, dumps
from core.data.names import check_collection
from core.data.records import Record
from core.errors import (
    InvalidCredentials,
    InvalidFieldName,
    InvalidInput,
    InvalidQuery,
    KeyTaken,
    NotSignedIn,
    ReservedField,
    SessionNotFound,
    below,
)
from core.times import aware, now, rfc3339

Document = dict[str, Any]

MAX_KEY_LENGTH = 254
MIN_PASSWORD, MAX_PASSWORD = 8, 1024
MAX_QUERY_BYTES = 16 * 1024
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A user who is signed in, by which session, and the whole record for further changes."""

    user: Document
    session: Document
    record: Record


def normalise_key(value: object, pointer: str = "/_key") -> str:
    """A ``_key`` as it is kept: stripped, NFKC, case-folded; raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput.at(pointer, "_key must be a string.")
    key = value[: MAX_KEY_LENGTH * 4]
    for _ in range(2):  # Folding may undo a normal form, and the other way round.
        key = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold()).strip()
    control = any(unicodedata.category(character) in {"Cc", "Cs"} for character in value + key)
    if not 1 <= len(key) <= MAX_KEY_LENGTH or len(value) > MAX_KEY_LENGTH or control:
        detail = f"_key must have 1 to {MAX_KEY_LENGTH} characters, none of them control ones."
        raise InvalidInput.at(pointer, detail)
    return key


def _password(value: object, pointer: str = "/_password") -> str:
    if not isinstance(value, str):
        raise InvalidInput.at(pointer, f"{pointer[1:]} must be a string.")
    if len(value) > MAX_PASSWORD:
        detail = f"{pointer[1:]} must have at most {MAX_PASSWORD} characters."
        raise InvalidInput.at(pointer, detail)
    return value


def new_document(value: object) -> Document:
    """What a client may set of a user; raises ReservedField and what storage raises."""
    with below("/document"):
        decoded = decode_document(value)
        for name in decoded:
            if name.startswith("_"):
                raise ReservedField.at(f"/{name}", f"{name[:100]!r} is a reserved field.")
        _check_names(decoded, "")
    return decoded


def _check_names(value: object, at: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if "$" in name:
                raise InvalidFieldName.at(f"{at}/{name}", "Names in a user must not contain '$'.")
            _check_names(item, f"{at}/{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_names(item, f"{at}/{index}")


def sign_up(
    *, collection: str, key: object, password: object, document: object, principal: str
) -> Document:
    """Make a user; returns the user document.

    Raises KeyTaken, WeakPassword, ReservedField, InvalidDocument, InvalidInput.
    """
    check_collection(collection)
    kept = normalise_key(key)
    secret = _password(password)
    new = new_document(document)
    passwords.check_strength(secret, key=kept, document=new)
    if records.by_key(collection, kept):
        raise KeyTaken  # The index says it too; this saves the hash.
    user_id = new_key()
    user = {"_id": user_id, "_key": kept, **new}
    moment = now()
    records.add(
        {
            "_id": user_id,
            "collection": collection,
            "user": user,
            "password": passwords.hash_password(secret),
            "disabled": False,
            "created_at": moment,
            "password_changed_at": moment,
            "last_signed_in_at": None,
            "sessions": [],
        }
    )
    note("signup", principal, collection, user_id)
    return user


def note(event: str, principal: str, collection: str, user: str | None, **details: object) -> None:
    """Write an event to the audit; ``outcome`` may be among the details."""
    target = collection if user is None else f"{collection}/{user}"
    audit.record(f"auth.{event}", principal=principal, target=target, **details)  # type: ignore[arg-type]


def sign_in(
    *,
    collection: str,
    key: object,
    password: object,
    query: object = None,
    ip: str,
    user_agent: str,
    principal: str,
) -> tuple[Document, str]:
    """Begin a session; returns the user document and the session's token.

    Whatever does not fit, the work is the same and the error is InvalidCredentials.
    """
    check_collection(collection)
    kept, secret = normalise_key(key), _password(password)
    condition = _condition(query)
    record = records.by_key(collection, kept)
    correct, renew = passwords.fits(secret, record["password"] if record else None)
    met = condition is None or records.meets(record["_id"] if record else "", condition)
    if record is None or not correct or not met or record["disabled"]:
        user = record["_id"] if record else None
        note("signin", principal, collection, user, outcome="failure", key=kept)
        raise InvalidCredentials
    entry = _new_session(ip, user_agent)
    change: Record = {"last_signed_in_at": entry["signed_in_at"]}
    if renew:
        change["password"] = passwords.hash_password(secret)
    _add_session(record, entry, change)
    token = sessions.begin(Claim(collection, record["_id"], entry["id"], query))
    note("signin", principal, collection, record["_id"], session=entry["id"])
    return record["user"], token


def _condition(query: object) -> Record | None:
    if query is None:
        return None
    with below("/query"):
        if len(dumps(query)) > MAX_QUERY_BYTES:
            raise InvalidQuery.at("", f"The query is larger than {MAX_QUERY_BYTES} bytes.")
        return compile_filter(query)


def _new_session(ip: str, user_agent: str) -> Record:
    moment = now()
    return {
        "id": secrets.token_hex(12),
        "signed_in_at": moment,
        "last_seen_at": moment,
        "expires_at": moment + timedelta(seconds=settings.COGLEX_SESSION_ABSOLUTE_SECONDS),
        "ip": ip,
        "user_agent": user_agent[:200],
    }


def _add_session(record: Record, entry: Record, change: Record) -> None:
    """Write the session, unless the user was disabled, deleted or given another password since."""
    unchanged = {"_id": record["_id"], "disabled": False, "password": record["password"]}
    if any(aware(each["expires_at"]) <= entry["signed_in_at"] for each in record["sessions"]):
        ended = {"expires_at": {"$lte": entry["signed_in_at"]}}
        users.update({"_id": record["_id"]}, {"$pull": {"sessions": ended}})
    push = {"sessions": {"$each": [entry], "$slice": -records.MAX_SESSIONS}}
    if not users.update(unchanged, {"$push": push, "$set": change}):
        raise InvalidCredentials


def signed_in(*, token: str, collection: str | None = None) -> SignedIn | None:
    """Who is signed in by this token, to this collection or any; None when nobody is.

    The user and the condition of the sign-in are looked at again, each time.
    """
    claim = sessions.read(token)
    if claim is None or collection not in {None, claim.collection}:
        return None
    record = records.with_session(claim.collection, claim.user_id, claim.session_id)
    if record is None:
        return None
    entry = next(each for each in record["sessions"] if each["id"] == claim.session_id)
    if not sessions.lives(entry):
        return None
    condition = _condition(claim.query)
    if condition is not None and not records.meets(claim.user_id, condition):
        return None
    if sessions.is_worth_noting(entry):
        entry["last_seen_at"] = now()
        seen = {"_id": claim.user_id, "sessions.id": entry["id"]}
        users.update(seen, {"$set": {"sessions.$.last_seen_at": entry["last_seen_at"]}})
    return SignedIn(record["user"], {**entry, "collection": claim.collection}, record)


def describe_session(entry: Record) -> Document:
    """A session's times, as clients see them."""
    return {
        "signed_in_at": rfc3339(entry["signed_in_at"]),
        "last_seen_at": rfc3339(entry["last_seen_at"]),
        "expires_at": rfc3339(sessions.expiry(entry)),
    }


def sign_out(*, token: str | None, collection: str, principal: str) -> bool:
    """End the session of this token; whether there was one."""
    check_collection(collection)
    claim = sessions.read(token) if token else None
    if token is None or claim is None or claim.collection != collection:
        return False
    was = users.take(
        {"_id": claim.user_id, "sessions.id": claim.session_id},
        {"$pull": {"sessions": {"id": claim.session_id}}},
        before=True,
    )
    sessions.end(token)
    entry = next((e for e in was["sessions"] if e["id"] == claim.session_id), None) if was else None
    if entry is None or not sessions.lives(entry):
        return False
    note("signout", principal, collection, claim.user_id, session=claim.session_id)
    return True


def refresh(
    *,
    who: SignedIn,
    document: object = None,
    password: object = None,
    current_password: object = None,
    principal: str,
) -> Document:
    """Set fields of the signed-in user, or a new password; returns the user document.

    A new password ends all other sessions in the same write. Raises InvalidCredentials when the
    current one is wrong.
    """
    if document is None and password is None:
        raise InvalidInput.at("", 'Send "document", "_password", or both.')
    new = {} if document is None else new_document(document)
    change: Record = {f"user.{name}": value for name, value in new.items()}
    unchanged: Record = {"_id": who.record["_id"], "sessions.id": who.session["id"]}
    if password is not None:
        change |= _new_password(who, password, current_password, {**who.user, **new}, principal)
        unchanged["password"] = who.record["password"]
    if not change:
        return who.user
    stored = users.take({**unchanged, "disabled": False}, {"$set": change}, fields={"user": 1})
    if stored is None:
        raise NotSignedIn
    collection = who.record["collection"]
    note("refresh", principal, collection, unchanged["_id"], password=password is not None)
    user: Document = stored["user"]
    return user


def _new_password(
    who: SignedIn, password: object, current: object, user: Document, principal: str
) -> Record:
    secret = _password(password)
    if current is None:
        raise InvalidInput.at("/_current_password", "A new password needs the current one.")
    correct, _ = passwords.fits(_password(current, "/_current_password"), who.record["password"])
    if not correct:
        place = who.record["collection"], who.record["_id"]
        note("refresh", principal, *place, outcome="failure", password=True)
        raise InvalidCredentials("The current password is wrong.")
    passwords.check_strength(secret, key=user["_key"], document=user)
    mine = [entry for entry in who.record["sessions"] if entry["id"] == who.session["id"]]
    return {
        "password": passwords.hash_password(secret),
        "password_changed_at": now(),
        "sessions": mine,
    }


def living_sessions(record: Record) -> list[Document]:
    """The sessions of a user's record that live, the newest first."""
    return [
        {
            "id": entry["id"],
            **describe_session(entry),
            "ip": entry["ip"],
            "user_agent": entry["user_agent"],
        }
        for entry in reversed(record["sessions"])
        if sessions.lives(entry)
    ]


def list_sessions(*, who: SignedIn) -> list[Document]:
    """The user's sessions that live, the newest first, and which of them this is."""
    mine = who.session["id"]
    return [{**each, "current": each["id"] == mine} for each in living_sessions(who.record)]


def revoke_session(*, who: SignedIn, session_id: str, principal: str) -> int:
    """End one of the user's sessions, or all ``others``; returns how many. SessionNotFound."""
    mine = who.session["id"]
    chosen: Record = {"id": {"$ne": mine} if session_id == OTHERS else session_id}
    was = users.take({"_id": who.record["_id"]}, {"$pull": {"sessions": chosen}}, before=True)
    ended = [
        entry["id"]
        for entry in (was["sessions"] if was else [])
        if sessions.lives(entry)
        and (entry["id"] != mine if session_id == OTHERS else entry["id"] == session_id)
    ]
    if not ended and session_id != OTHERS:
        raise SessionNotFound
    note("revoke", principal, who.record["collection"], who.record["_id"], sessions=len(ended))
    return len(ended)

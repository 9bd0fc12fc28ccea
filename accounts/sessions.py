"""Sessions in Django's session framework: from a token to what it claims, and back.

The engine is settings.SESSION_ENGINE. A session holds whose it is; that it still lives, the
user's record says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.base import VALID_KEY_CHARS, SessionBase
from django.utils.crypto import get_random_string

from core.data.records import Record
from core.times import aware, now

_valid = re.compile(r"[A-Za-z0-9:._=-]{8,4096}").fullmatch
_CLAIM = "coglex"
# As Django's own.
_TOKEN_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says: whose session it is, and the condition of its sign-in, if it had one."""

    collection: str
    user_id: str
    session_id: str
    query: object | None


def _store(token: str | None = None) -> SessionBase:
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(token)
    return store


def begin(claim: Claim) -> str:
    """A new session; returns its token."""
    # Django looks first whether a token that it makes itself is taken. Of 165 random bits none ever
    # is; and were it, ``must_create`` would refuse it.
    store = _store(get_random_string(_TOKEN_LENGTH, VALID_KEY_CHARS))
    store.clear()
    store[_CLAIM] = {
        "collection": claim.collection,
        "user": claim.user_id,
        "session": claim.session_id,
        "query": claim.query,
    }
    store.set_expiry(settings.COGLEX_SESSION_ABSOLUTE_SECONDS)
    store.save(must_create=True)
    assert store.session_key is not None  # noqa: S101 - given above, or by save
    return store.session_key


def read(token: str) -> Claim | None:
    """What a token claims; None for one that is unknown, or an operator's."""
    if not _valid(token):
        return None
    held: dict[str, Any] | None = _store(token).get(_CLAIM)
    if held is None:
        return None
    return Claim(held["collection"], held["user"], held["session"], held["query"])


def end(token: str) -> None:
    """Forget a session."""
    _store(token).delete()


def expiry(entry: Record) -> datetime:
    """When a session of a user's record ends: idle or absolute, whichever is first."""
    idle = timedelta(seconds=settings.COGLEX_SESSION_IDLE_SECONDS)
    return min(aware(entry["expires_at"]), aware(entry["last_seen_at"]) + idle)


def lives(entry: Record) -> bool:
    """Whether a session of a user's record has not expired."""
    return expiry(entry) > now()


def is_worth_noting(entry: Record) -> bool:
    """Whether the time it was last seen has become old enough to be written again."""
    step = min(60.0, settings.COGLEX_SESSION_IDLE_SECONDS / 10)
    return now() - aware(entry["last_seen_at"]) >= timedelta(seconds=step)

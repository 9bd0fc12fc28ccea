"""API keys: making, listing, revoking, and finding out who calls.

Called by the permission classes, the admin and `manage.py apikeys`.
"""

from __future__ import annotations

import hmac
import secrets
import string
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from django.conf import settings
from django.db import Error as SQLError
from django.db.models import Q, QuerySet
from django.utils import timezone

from core import audit
from core.errors import APIKeyNotFound, InvalidAPIKey, InvalidInput
from core.models import APIKey
from core.scopes import Scopes, parse_scopes

BOOTSTRAP = "bootstrap"
# Seconds for which a process believes what it read of a key; revoking takes as long at most.
BELIEVED = 5.0
USE_NOTED_EVERY = timedelta(minutes=1)
_ALPHABET = string.ascii_lowercase + string.digits
_MAX_LENGTH = 200
_MAX_REMEMBERED = 10_000

log = structlog.get_logger("coglex.apikeys")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the prefix of a managed key, or ``bootstrap``; and what that key may do."""

    id: str
    name: str
    scopes: Scopes


@dataclass(frozen=True, slots=True)
class _Seen:
    principal: Principal
    until: float


_seen: OrderedDict[bytes, _Seen] = OrderedDict()
_lock = threading.Lock()


def create_key(
    *,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
    note: str = "",
    by: str = "cli",
) -> tuple[APIKey, str]:
    """Make a key; returns its record and the key itself, which nobody can be shown again.

    Raises InvalidInput for a scope that is none, an empty name, or an expiry in the past.
    """
    parse_scopes(scopes)
    if not name.strip() or len(name) > 100:
        raise InvalidInput("A key needs a name of at most 100 characters.")
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInput("The expiry lies in the past.")
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    key = f"cgx_{prefix}_{secrets.token_urlsafe(32)}"
    record = APIKey.objects.create(
        name=name.strip(),
        prefix=prefix,
        digest=_digest(key).hex(),
        scopes=list(scopes),
        expires_at=expires_at,
        note=note,
    )
    audit.record("apikey.create", principal=by, target=prefix, scopes=list(scopes))
    return record, key


def list_keys() -> QuerySet[APIKey]:
    """All keys, the newest first."""
    return APIKey.objects.all()


def get_key(prefix: str) -> APIKey:
    """The record of a key; raises APIKeyNotFound."""
    try:
        return APIKey.objects.get(prefix=prefix)
    except APIKey.DoesNotExist:
        raise APIKeyNotFound(f"There is no API key with the prefix {prefix!r}.") from None


def revoke_key(prefix: str, *, by: str = "cli") -> APIKey:
    """End a key, in every process within 5 s; a revoked one stays as it is."""
    record = get_key(prefix)
    if record.revoked_at is None or record.revoked_at > timezone.now():
        record.revoked_at = timezone.now()
        record.save(update_fields=["revoked_at"])
        audit.record("apikey.revoke", principal=by, target=prefix)
    with _lock:
        _seen.clear()
    return record


def rotate_key(
    prefix: str, *, grace: timedelta = timedelta(0), by: str = "cli"
) -> tuple[APIKey, str]:
    """A new key with the name, scopes and expiry of an old one, which ends after ``grace``."""
    old = get_key(prefix)
    if old.state != "active":
        raise InvalidInput(f"The key {prefix} is {old.state}; make a new one instead.")
    record, key = create_key(
        name=old.name, scopes=old.scopes, expires_at=old.expires_at, note=old.note, by=by
    )
    if grace > timedelta(0):
        old.revoked_at = timezone.now() + grace
        old.save(update_fields=["revoked_at"])
        audit.record("apikey.rotate", principal=by, target=prefix, successor=record.prefix)
    else:
        revoke_key(prefix, by=by)
    return record, key


def authenticate(key: str) -> Principal:
    """Who the key belongs to; raises InvalidAPIKey, the same for unknown, expired and revoked.

    A key that was seen in the last 5 s costs no query.
    """
    if len(key) > _MAX_LENGTH:
        raise InvalidAPIKey
    digest = _digest(key)
    seen = _seen.get(digest)
    if seen is not None and seen.until > time.time():
        return seen.principal
    principal, believed = _look_up(key, digest)
    with _lock:
        _seen[digest] = _Seen(principal, believed)
        _seen.move_to_end(digest)
        while len(_seen) > _MAX_REMEMBERED:
            _seen.popitem(last=False)
    return principal


def _look_up(key: str, digest: bytes) -> tuple[Principal, float]:
    now = time.time()
    if hmac.compare_digest(digest, _digest(settings.SERVER_SECRET)):
        return Principal(BOOTSTRAP, BOOTSTRAP, parse_scopes(["*"])), now + BELIEVED
    parts = key.split("_", 2)
    if len(parts) != 3 or parts[0] != "cgx" or len(parts[1]) != 8 or not parts[1].isascii():
        raise InvalidAPIKey
    record = APIKey.objects.filter(prefix=parts[1].replace("\0", "")).first()
    stored = record.digest if record else "0" * 64
    if not hmac.compare_digest(digest.hex(), stored) or record is None or record.state != "active":
        raise InvalidAPIKey
    _note_use(record)
    ends = [end.timestamp() for end in (record.expires_at, record.revoked_at) if end is not None]
    return Principal(record.prefix, record.name, parse_scopes(record.scopes)), min(
        [now + BELIEVED, *ends]
    )


def _note_use(record: APIKey) -> None:
    """Write the time of last use, at most once a minute; not worth failing a request for."""
    now = timezone.now()
    old = now - USE_NOTED_EVERY
    if record.last_used_at is not None and record.last_used_at > old:
        return
    try:
        APIKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lte=old), pk=record.pk).update(
            last_used_at=now
        )
    except SQLError as error:
        log.warning("key_use_not_noted", error=type(error).__name__)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()

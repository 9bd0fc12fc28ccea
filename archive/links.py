"""Signed links: a download for whoever holds one, until it is over or the file is gone.

A link says the file, the time and the disposition, and signs all three; nothing of it is stored.
"""

from __future__ import annotations

import hmac
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.utils.crypto import salted_hmac

from archive.services import get_file, note
from core.errors import InvalidInput, InvalidLink
from core.times import rfc3339

MAX_SECONDS = 7 * 86_400
DISPOSITIONS = ("attachment", "inline")


def make_link(
    *, file_id: str, expires_in: object, disposition: object, principal: str
) -> dict[str, Any]:
    """``{"url", "expires_at"}``; ``expires_in`` is in seconds. Raises StoredFileNotFound."""
    if not isinstance(expires_in, int) or isinstance(expires_in, bool):
        raise InvalidInput.at("/expires_in", "expires_in must be a whole number of seconds.")
    if not 1 <= expires_in <= MAX_SECONDS:
        raise InvalidInput.at("/expires_in", f"expires_in must be from 1 to {MAX_SECONDS}.")
    if disposition not in DISPOSITIONS:
        raise InvalidInput.at("/disposition", 'disposition must be "attachment" or "inline".')
    get_file(file_id=file_id)
    expires = int(time.time()) + expires_in
    signature = _signature(file_id, str(expires), str(disposition))
    query = urlencode({"expires": expires, "disposition": disposition, "signature": signature})
    expires_at = rfc3339(datetime.fromtimestamp(expires, UTC))
    note("link", principal, file_id, expires_at=expires_at)
    # Never from the Host header, which whoever asks may choose.
    base = settings.COGLEX_PUBLIC_URL
    url = f"{base}/service/archive/v1/download/{file_id}/?{query}"
    return {"url": url, "expires_at": expires_at}


def check_link(*, file_id: str, expires: str, disposition: str, signature: str) -> None:
    """Raise InvalidLink unless this was made by ``make_link`` and is not over."""
    good = _signature(file_id, expires, disposition)
    if not hmac.compare_digest(good.encode(), signature.encode("utf-8", "replace")):
        raise InvalidLink
    if int(expires) <= time.time():
        raise InvalidLink("The link's time is over.")


def _signature(file_id: str, expires: str, disposition: str) -> str:
    signed = "\0".join((file_id, expires, disposition)).encode("utf-8", "replace")
    return salted_hmac("coglex.archive.link", signed, algorithm="sha256").hexdigest()

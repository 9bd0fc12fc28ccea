"""The archive: check a file, keep it, find it, let it be downloaded, delete it.

Called by the views, the admin and `manage.py archive`. A record is
``{"_id", "filename", "size", "content_type", "sha256", "uploaded_at", "security_status",
"metadata", "downloads", "last_downloaded_at"}``. The order of things is what a crash cannot
break: bytes, then the record; and away with the record, then with the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import structlog
from django.conf import settings

from archive import filetypes, records, scanner, stores
from archive.drafts import Draft
from archive.names import safe_name
from core import audit
from core.data.encoding import decode_document
from core.data.pages import Listing, Query
from core.data.records import Record
from core.errors import (
    CoglexError,
    MalwareDetected,
    QueryTimeout,
    RetryLater,
    ScannerUnavailable,
    StoredFileNotFound,
    below,
)
from core.times import now, rfc3339

log = structlog.get_logger("coglex.archive")

CLEAN, UNSCANNED, INFECTED, ERROR = "clean", "unscanned", "infected", "error"
_file_id = re.compile(r"[0-9a-f]{24}").fullmatch


def note(event: str, principal: str, target: str, **details: object) -> None:
    """Write an event to the audit; ``outcome`` may be among the details."""
    audit.record(f"archive.{event}", principal=principal, target=target, **details)  # type: ignore[arg-type]


@contextmanager
def checked_file(
    *, draft: Draft, filename: str, metadata: object, principal: str
) -> Iterator[Record]:
    """Check a draft and put its bytes into the store; the block adds the record it is given.

    When the block fails, the bytes go again, unless it is unknown whether the record came to be.
    Raises InvalidDocument, TypeNotAllowed, TypeMismatch, MalwareDetected, ScannerUnavailable,
    StorageFull, StoreUnavailable.
    """
    with below("/metadata"):
        kept_metadata = decode_document(metadata)
    name = safe_name(filename)
    kind = filetypes.content_type(filetypes.sniff(draft.path), name, settings.COGLEX_ARCHIVE_TYPES)
    status = _status_of(draft, name, principal)
    draft.flush()
    try:
        stores.keep(draft)
        yield {
            "_id": draft.id,
            "filename": name,
            "size": draft.size,
            "content_type": kind,
            "sha256": draft.sha256,
            "uploaded_at": rfc3339(now()),
            "security_status": status,
            "metadata": kept_metadata,
            "downloads": 0,
            "last_downloaded_at": None,
        }
    except CoglexError as error:
        if not isinstance(error, RetryLater | QueryTimeout):
            _remove_bytes(draft.id)
        raise


def _status_of(draft: Draft, name: str, principal: str) -> str:
    if not scanner.is_configured():
        if settings.COGLEX_ARCHIVE_REQUIRE_SCAN:
            raise ScannerUnavailable("Files must be scanned, and this server has no scanner.")
        return UNSCANNED
    with draft.path.open("rb") as file:
        malware = scanner.scan(file)
    if malware is None:
        return CLEAN
    note("upload", principal, name, outcome="malware", malware=malware, sha256=draft.sha256)
    raise MalwareDetected(f"The file contains malware: {malware}.")


def add_file(record: Record, *, principal: str) -> Record:
    """Add the record of bytes that are in the store; from here on the file exists.

    Raises QuotaExceeded.
    """
    records.add(record, key=principal)
    note("upload", principal, record["_id"], filename=record["filename"], size=record["size"])
    return record


def get_file(*, file_id: str) -> Record:
    """A file's record; raises StoredFileNotFound."""
    if not _file_id(file_id):
        raise StoredFileNotFound
    return records.by_id(file_id)


def open_file(record: Record) -> IO[bytes]:
    """The bytes of a file that may be served.

    Raises MalwareDetected, ScannerUnavailable for one whose last scan failed, StoredFileNotFound
    when the bytes are gone.
    """
    if record["security_status"] == INFECTED:
        raise MalwareDetected("A scan found malware in this file; it is not served.")
    if record["security_status"] == ERROR:
        raise ScannerUnavailable(
            "The last scan of this file failed; it is not served until one succeeds."
        )
    try:
        return stores.open_stored(record["_id"])
    except FileNotFoundError:
        log.error("bytes_missing", file_id=record["_id"])
        raise StoredFileNotFound from None


def delete_file(*, file_id: str, principal: str) -> Record:
    """Delete a file; returns its record as it was. Raises StoredFileNotFound."""
    get_file(file_id=file_id)
    record = records.take(file_id)
    note("delete", principal, file_id, filename=record["filename"])
    _remove_bytes(file_id)
    return record


def _remove_bytes(file_id: str) -> None:
    """Remove bytes that nothing refers to; what does not work now is left to the sweep."""
    try:
        with suppress(FileNotFoundError):
            stores.remove(file_id)
    except (CoglexError, OSError) as error:
        log.warning("bytes_left", file_id=file_id, error=type(error).__name__)


def list_files(*, asked: Query) -> Listing:
    """The page of records that is asked for; the newest first unless it says otherwise."""
    return records.list_files(asked)


def count_files(*, query: object = None) -> int:
    """How many records meet the query."""
    return records.files.count_matching(query)

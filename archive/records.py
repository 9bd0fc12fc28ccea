"""The records of files, as they are kept: one for what clients see, one for whose they are.

``files`` holds exactly what clients see, so that any filter, sort or count of theirs is one over
their own data: ``{"_id", "filename", "size", "content_type", "sha256", "uploaded_at",
"security_status", "metadata", "downloads", "last_downloaded_at"}``; times are RFC 3339 strings,
which sort as times do. ``file_owners`` says which API key holds how much:
``{"_id", "key", "size"}``. ``file_accesses`` is the access log.
"""

from __future__ import annotations

from contextlib import suppress

from django.conf import settings

from core.data.client import in_transaction
from core.data.pages import Listing, Query
from core.data.records import Record, Records
from core.errors import DuplicateKey, QuotaExceeded, StoredFileNotFound

NEWEST_FIRST = (("uploaded_at", -1), ("_id", -1))

files = Records("files")
files.declare(("uploaded_at", -1), ("_id", -1))
files.declare(("sha256", 1))
files.declare(("filename", 1), ("_id", 1))
owners = Records("file_owners")
owners.declare(("key", 1), ("size", 1))
quotas = Records("file_quotas")
accesses = Records("file_accesses")
accesses.declare(("file_id", 1), ("at", -1))
accesses.declare(("expires_at", 1), expires=True)


def add(record: Record, *, key: str) -> None:
    """Keep a new file's record; raises QuotaExceeded when the key may not hold more."""
    owner = {"_id": record["_id"], "key": key, "size": record["size"]}
    if settings.COGLEX_ARCHIVE_FILES_PER_KEY or settings.COGLEX_ARCHIVE_BYTES_PER_KEY:
        with suppress(DuplicateKey):
            quotas.update({"_id": key}, {"$inc": {"uploads": 0}}, upsert=True)
        in_transaction(lambda: _add_within_quota(record, owner))
    else:
        owners.insert(owner)
        files.insert(record)


def _add_within_quota(record: Record, owner: Record) -> None:
    """Of two uploads with one key the second waits for the first: both change one record."""
    quotas.update({"_id": owner["key"]}, {"$inc": {"uploads": 1}})
    held = usage(owner["key"])
    most_files = settings.COGLEX_ARCHIVE_FILES_PER_KEY
    most_bytes = settings.COGLEX_ARCHIVE_BYTES_PER_KEY
    if most_files and held["files"] + 1 > most_files:
        raise QuotaExceeded(f"This API key holds {most_files} files, as many as it may.")
    if most_bytes and held["bytes"] + record["size"] > most_bytes:
        raise QuotaExceeded(f"This API key may hold {most_bytes} bytes in files.")
    owners.insert(owner)
    files.insert(record)


def usage(key: str) -> dict[str, int]:
    """``{"files", "bytes"}`` that an API key holds."""
    found = owners.aggregate(
        [
            {"$match": {"key": key}},
            {"$group": {"_id": None, "files": {"$sum": 1}, "bytes": {"$sum": "$size"}}},
            {"$project": {"_id": 0}},
        ]
    )
    return found[0] if found else {"files": 0, "bytes": 0}


def by_id(file_id: str) -> Record:
    """A file's record; raises StoredFileNotFound."""
    found = files.get({"_id": file_id})
    if found is None:
        raise StoredFileNotFound
    return found


def take(file_id: str) -> Record:
    """Delete a file's record and return it; raises StoredFileNotFound."""
    found = files.delete({"_id": file_id})
    if found is None:
        raise StoredFileNotFound
    owners.delete({"_id": file_id})
    return found


def known(ids: list[str]) -> set[str]:
    """Those of the ids that have a record."""
    return {found["_id"] for found in files.find({"_id": {"$in": ids}}, {"_id": 1})}


def list_files(asked: Query) -> Listing:
    """The page of records that is asked for; the newest first."""
    return files.list_page(asked, NEWEST_FIRST)

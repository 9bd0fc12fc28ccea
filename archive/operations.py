"""What operators do with files: shared by the admin and `manage.py archive`; audited."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from itertools import islice
from typing import Any

from django.conf import settings

from archive import accesses, drafts, records, scanner, stores
from archive.services import CLEAN, ERROR, INFECTED, get_file, note
from core.data.pages import Query
from core.data.records import Record
from core.errors import ScannerUnavailable, ScanRefused, StoredFileNotFound

MAX_FOUND = 1000
# How long another machine may take to make the record of bytes that are in a shared store.
_SHARED_STORE_SECONDS = 3600


def find_files(*, query: object = None, limit: int = 100, skip: int = 0) -> list[Record]:
    """Records that meet the query, the newest first."""
    asked = Query(query=query, limit=min(limit, MAX_FOUND), skip=skip)
    return records.list_files(asked).documents


def totals() -> tuple[int, int]:
    """How many files there are, and their bytes."""
    group = {"_id": None, "count": {"$sum": 1}, "bytes": {"$sum": "$size"}}
    found = records.files.aggregate([{"$group": group}])
    return (found[0]["count"], found[0]["bytes"]) if found else (0, 0)


def describe(*, file_id: str) -> dict[str, Any]:
    """``{"file", "key", "accesses"}``: the record, which API key uploaded it, the access log."""
    record = get_file(file_id=file_id)
    owner = records.owners.get({"_id": file_id})
    entries = accesses.find(file_id)
    return {"file": record, "key": owner["key"] if owner else None, "accesses": entries}


def sweep(*, dry_run: bool, by: str, min_age: int | None = None) -> dict[str, list[str]]:
    """Remove what crashes left: ``{"drafts", "orphans", "missing"}``, ids of each.

    ``drafts`` are uploads that broke off; ``orphans`` bytes without a record; ``missing`` records
    without bytes, which are only reported. What is under way is left alone, and so is what is
    younger than ``min_age`` seconds: an hour unless given, where other machines may write to the
    same store, which no lock tells of.
    """
    age = _min_age() if min_age is None else min_age
    left = [draft_id for draft_id in drafts.left_behind() if _is_old(draft_id, age)]
    orphans = list(_orphans(age))
    if not dry_run:
        for draft_id in left:
            drafts.remove(draft_id)
        for file_id in orphans:
            with suppress(FileNotFoundError):
                stores.remove(file_id)
        _forget_owners()
        if left or orphans:
            note("sweep", by, "archive", drafts=len(left), orphans=len(orphans))
    return {"drafts": left, "orphans": orphans, "missing": list(_missing())}


def _min_age() -> int:
    alone = settings.COGLEX_ARCHIVE_STORE == "disk" or (
        settings.COGLEX_ARCHIVE_STORE == "gridfs" and not settings.MONGODB_URI
    )
    return 0 if alone else _SHARED_STORE_SECONDS


def _is_old(file_id: str, age: int) -> bool:
    """Whether an id was made so long ago: its first eight digits are the time."""
    try:
        return int(file_id[:8], 16) + age <= time.time()
    except ValueError:
        return True


def _orphans(age: int) -> Iterator[str]:
    ids = stores.stored_ids()
    while some := list(islice(ids, 500)):
        unknown = set(some) - records.known(some)
        for file_id in sorted(unknown):
            # The lock is let go when the record is there: look at it first, then once more.
            under_way = not _is_old(file_id, age) or stores.is_being_kept(file_id)
            if not under_way and not records.known([file_id]):
                yield file_id


def _missing() -> Iterator[str]:
    for some in records.files.batches():
        for record in some:
            file_id = record["_id"]
            if not stores.is_stored(file_id) and records.known([file_id]):
                yield file_id


def _forget_owners() -> None:
    """Quotas count files; an owner whose file never came to be counts for nothing."""
    for some in records.owners.batches():
        ids = [owner["_id"] for owner in some if _is_old(owner["_id"], _SHARED_STORE_SECONDS)]
        gone = sorted(set(ids) - records.known(ids))
        if gone:
            records.owners.delete_all({"_id": {"$in": gone}})


def verify(*, query: object = None) -> Iterator[tuple[Record, str]]:
    """Hash the files that meet the query: each record with ok, damaged or missing."""
    for record in _each(query):
        yield record, _verdict(record)


def _verdict(record: Record) -> str:
    try:
        file = stores.open_stored(record["_id"])
    except FileNotFoundError:
        return "missing"
    digest, size = sha256(), 0
    # One byte more than there should be shows a file that has grown.
    with closing(stores.Blocks(file, 0, record["size"] + 1)) as blocks:
        for block in blocks:
            digest.update(block)
            size += len(block)
    whole = (digest.hexdigest(), size) == (record["sha256"], record["size"])
    return "ok" if whole else "damaged"


def _each(query: object) -> Iterator[Record]:
    after: str | None = None
    while True:
        page = records.list_files(Query(query=query, sort="_id", limit=500, after=after))
        yield from page.documents
        if page.next is None:
            return
        after = page.next


def rescan(*, file_id: str, by: str) -> str:
    """Scan a file again and keep what comes out; returns its ``security_status``.

    Raises ScannerUnavailable, and then nothing has changed, and StoredFileNotFound.
    """
    record = get_file(file_id=file_id)
    if not scanner.is_configured():
        raise ScannerUnavailable("There is no scanner: COGLEX_CLAMD_URL is not set.")
    try:
        with stores.open_stored(file_id) as file:
            malware = scanner.scan(file)
        status = CLEAN if malware is None else INFECTED
    except FileNotFoundError:
        raise StoredFileNotFound("The file's bytes are gone.") from None
    except ScanRefused:
        malware, status = None, ERROR
    records.files.update({"_id": file_id}, {"$set": {"security_status": status}})
    note("rescan", by, file_id, filename=record["filename"], status=status, malware=malware)
    return status


def rescan_all(*, query: object = None, by: str) -> Iterator[tuple[Record, str]]:
    """Scan the files that meet the query again: each record with its new ``security_status``."""
    for record in _each(query):
        with suppress(StoredFileNotFound):
            yield record, rescan(file_id=record["_id"], by=by)

"""What `manage.py doctor` looks at in the archive: where files are, and the scanner."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from django.conf import settings

from archive import scanner, stores
from core.diagnosis import Finding, examine_directory, examines
from core.errors import CoglexError
from core.times import now

_OLDEST_SIGNATURES = timedelta(days=7)


@examines("files")
def _store() -> Iterator[Finding]:
    if settings.COGLEX_ARCHIVE_STORE == "disk":
        directory = settings.COGLEX_ARCHIVE_DIR
        if directory.exists():
            yield from examine_directory(directory, "COGLEX_ARCHIVE_DIR")
        return
    try:
        list(islice(stores.stored_ids(), 1))
    except CoglexError as error:
        kind = settings.COGLEX_ARCHIVE_STORE
        remedy = "See that it is running, and the COGLEX_ARCHIVE_… settings that name it."
        yield Finding(
            "files.store", "error", "files", f"The store {kind} fails: {error.detail}", remedy
        )


@examines("scanner")
def _scanner() -> Iterator[Finding]:
    if not scanner.is_configured():
        return
    try:
        told = scanner.version()
    except CoglexError as error:
        remedy = "Start clamd, and see that COGLEX_CLAMD_URL names it."
        yield Finding("scanner.unusable", "error", "scanner", error.detail, remedy)
        return
    if (made := _made_at(told)) and now() - made > _OLDEST_SIGNATURES:
        detail = f"Its signatures are of {made:%Y-%m-%d}."
        yield Finding("scanner.old", "warning", "scanner", detail, "Run freshclam.")


def _made_at(version: str) -> datetime | None:
    """When the signatures were made, the last part of clamd's version."""
    try:
        made = datetime.strptime(version.rpartition("/")[2], "%a %b %d %H:%M:%S %Y")  # noqa: DTZ007
    except ValueError:
        return None
    return made.replace(tzinfo=UTC)

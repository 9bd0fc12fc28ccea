"""System checks: settings of the archive that do not go together."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004


@register
def check_scanner(**_: Any) -> list[CheckMessage]:
    """The scanner's address, and that there is one where scans are required."""
    url = settings.COGLEX_CLAMD_URL
    if not url:
        if not settings.COGLEX_ARCHIVE_REQUIRE_SCAN:
            return []
        text = "COGLEX_ARCHIVE_REQUIRE_SCAN is on and COGLEX_CLAMD_URL is not set."
        return [Warning(text, hint="Every upload will be refused.", id="archive.W001")]
    parsed = urlsplit(url)
    named = parsed.path if parsed.scheme == "unix" else parsed.hostname
    if parsed.scheme in {"tcp", "unix"} and named and _has_port(url):
        return []
    hint = "Use tcp://127.0.0.1:3310 or unix:///run/clamav/clamd.ctl."
    return [Error("COGLEX_CLAMD_URL is not an address of clamd.", hint=hint, id="archive.E001")]


def _has_port(url: str) -> bool:
    try:
        urlsplit(url).port  # noqa: B018 - looking at it is what finds the fault
    except ValueError:
        return False
    return True


@register
def check_store(**_: Any) -> list[CheckMessage]:
    """That the store can be used, and that downloads are handed to what the store is."""
    found: list[CheckMessage] = []
    kind = settings.COGLEX_ARCHIVE_STORE
    if kind == "s3" and not settings.COGLEX_ARCHIVE_S3_BUCKET:
        found.append(Error("COGLEX_ARCHIVE_S3_BUCKET is not set.", id="archive.E002"))
    if kind == "s3" and not (find_spec("storages") and find_spec("boto3")):
        hint = ".venv/bin/pip install -r requirements-s3.txt"
        found.append(
            Error("The store s3 needs django-storages and boto3.", hint=hint, id="archive.E003")
        )
    if settings.COGLEX_ARCHIVE_ACCEL_REDIRECT and kind != "disk":
        text = "COGLEX_ARCHIVE_ACCEL_REDIRECT works with the store disk only."
        found.append(Warning(text, id="archive.W002"))
    if settings.COGLEX_ARCHIVE_S3_REDIRECT and kind != "s3":
        text = "COGLEX_ARCHIVE_S3_REDIRECT works with the store s3 only."
        found.append(Warning(text, id="archive.W003"))
    return found

"""Answering a download: conditions, ranges and headers, and the bytes by the fastest way there is.

Called by the download view and the admin. Blocks of a file reach nearly what a bare ``sendfile``
does (`python -m bench transfer`); with a setting, nginx or the S3 store sends them instead.
Sources: RFC 9110 (conditions, ranges), RFC 6266 and 8187 (the file's name).
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase, HttpResponseRedirect
from django.utils.cache import get_conditional_response
from django.utils.http import http_date, parse_http_date_safe

from archive import services, stores
from archive.accesses import note_download
from core.data.records import Record
from core.errors import PreconditionFailed, RangeNotSatisfiable
from core.http.carried import AnyRequest

_range = re.compile(r"bytes=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE).fullmatch


def respond(
    request: AnyRequest,
    record: Record,
    *,
    principal: str,
    disposition: str = "attachment",
    logged: bool = True,
) -> HttpResponseBase:
    """The answer to a GET or HEAD of a file, counted and in the access log unless it is off.

    Raises PreconditionFailed, RangeNotSatisfiable, and what ``services.open_file`` raises.
    """
    headers = _headers(record, disposition)
    unchanged = _conditions(request, record, headers)
    if unchanged is not None:
        return unchanged
    file = services.open_file(record)
    try:
        part = _part(request, record, headers)
    except RangeNotSatisfiable:
        file.close()
        raise
    start, length = part or (0, record["size"])
    status = 206 if part else 200
    if request.method == "HEAD":
        file.close()
        return HttpResponse(headers={**headers, "Content-Length": str(length)})
    if logged:
        note_download(
            file_id=record["_id"],
            principal=principal,
            status=status,
            range_=request.headers.get("Range", "")[:200] or None,
            counts=start == 0,
        )
    if (elsewhere := _sent_elsewhere(record, headers)) is not None:
        file.close()
        return elsewhere
    headers["Content-Length"] = str(length)
    if part:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{record['size']}"
    return StreamingHttpResponse(stores.Blocks(file, start, length), status=status, headers=headers)


def _headers(record: Record, disposition: str) -> dict[str, str]:
    return {
        "Content-Type": record["content_type"],
        "Content-Disposition": _named(disposition, record["filename"]),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "ETag": f'"{record["sha256"]}"',
        "Last-Modified": http_date(_uploaded(record)),
        "Accept-Ranges": "bytes",
    }


def _named(disposition: str, filename: str) -> str:
    """The name twice: in ASCII for old clients, and as RFC 8187 writes any name."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", filename)
    return f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _uploaded(record: Record) -> int:
    return int(datetime.fromisoformat(record["uploaded_at"]).timestamp())


def _conditions(
    request: AnyRequest, record: Record, headers: dict[str, str]
) -> HttpResponseBase | None:
    """304 when the client has it already; raises PreconditionFailed for If-Match and the like."""
    answer = get_conditional_response(
        request, etag=headers["ETag"], last_modified=_uploaded(record)
    )
    if answer is None:
        return None
    if answer.status_code == 412:
        raise PreconditionFailed("The file is not the one that the request requires.")
    for name in set(headers) - {"Content-Type", "Content-Disposition"}:
        answer[name] = headers[name]
    return answer


def _part(request: AnyRequest, record: Record, headers: dict[str, str]) -> tuple[int, int] | None:
    """Start and length of the range that is asked for; None for the whole file.

    Several ranges, and those of another form, are not honoured, as RFC 9110 allows. Raises
    RangeNotSatisfiable.
    """
    asked = _range(request.headers.get("Range", "")[:200])
    if request.method != "GET" or asked is None or not _same_file(request, headers):
        return None
    size = record["size"]
    first, last = (int(digits[:18]) if digits else None for digits in asked.groups())
    if first is None:
        if last is None:
            return None
        if not last or not size:
            raise RangeNotSatisfiable(size=size)
        start = max(0, size - last)
        return start, size - start
    if last is not None and last < first:
        return None
    if first >= size:
        raise RangeNotSatisfiable(size=size)
    end = size - 1 if last is None else min(last, size - 1)
    return first, end - first + 1


def _same_file(request: AnyRequest, headers: dict[str, str]) -> bool:
    """Whether If-Range, where there is one, names what the file still is."""
    known = request.headers.get("If-Range")
    if known is None or known == headers["ETag"]:
        return True
    if known.startswith(('"', "W/")):
        return False
    date = parse_http_date_safe(known)
    return date is not None and date == parse_http_date_safe(headers["Last-Modified"])


def _sent_elsewhere(record: Record, headers: dict[str, str]) -> HttpResponseBase | None:
    """The answer with which nginx, or the S3 store, is asked to send the bytes."""
    name, found = stores.stored_name(record["_id"]), stores.store()
    if settings.COGLEX_ARCHIVE_ACCEL_REDIRECT and isinstance(found, stores.DiskStore):
        prefix = settings.COGLEX_ARCHIVE_ACCEL_REDIRECT.rstrip("/")
        return HttpResponse(headers={**headers, "X-Accel-Redirect": f"{prefix}/{name}"})
    if settings.COGLEX_ARCHIVE_S3_REDIRECT and hasattr(found, "presigned_url"):
        url = found.presigned_url(
            name,
            content_type=headers["Content-Type"],
            disposition=headers["Content-Disposition"],
        )
        return HttpResponseRedirect(url)
    return None

"""Operators' pages of files: search and look at them, download, scan again, delete."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path

from archive import downloads, operations, services
from archive.models import File
from core import dashboard
from core.adminpages import (
    Action,
    Input,
    ListPage,
    ObjectPage,
    PartAdmin,
    Row,
    Table,
    condition_of,
    operator,
    page_of,
)
from core.admintext import moment, pretty, state
from core.data.records import Record
from core.errors import CoglexError, NotFound

# Images that are nothing but pixels: browsers run nothing in them.
_PREVIEWED = {"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"}
_LOGGED = ("principal", "address", "user_agent", "range")
_STATUSES = ("", "clean", "unscanned", "infected", "error")


@admin.register(File)
class FileAdmin(PartAdmin):
    """The files of the archive."""

    def get_urls(self) -> list[URLPattern]:
        content = self.admin_site.admin_view(self.content_view)
        return [path("<str:key>/content/", content, name="archive_content"), *super().get_urls()]

    def filters(self, request: HttpRequest) -> Sequence[Input]:
        given = request.GET
        names = [(status, status or "any") for status in _STATUSES]
        return [
            Input("q", "Name contains", given.get("q", "")),
            Input("status", "Scan", given.get("status", ""), "select", names),
            Input("query", "Query", given.get("query", ""), hint='{"metadata.album": "x"}'),
        ]

    def list_page(self, request: HttpRequest) -> ListPage:
        filters = self.filters(request)
        contains, status, query = (each.value for each in filters)
        condition = _condition(contains, status, query)
        found, more = page_of(
            request,
            lambda limit, skip: operations.find_files(query=condition, limit=limit, skip=skip),
        )
        columns = ["Name", "Type", "Size", "Scan", "Uploaded", "Downloads"]
        rows = [_row(record) for record in found]
        return ListPage(Table(columns, rows, empty="No file fits."), filters, more)

    def object_page(self, request: HttpRequest, key: str) -> ObjectPage:
        found = operations.describe(file_id=key)
        record = found["file"]
        served = record["security_status"] in {services.CLEAN, services.UNSCANNED}
        address = f"{self.url(key)}content/"
        accesses = [
            Row([moment(each["at"]), *(each[name] for name in _LOGGED)])
            for each in found["accesses"]
        ]
        columns = ["At", "Who", "Address", "User agent", "Range"]
        return ObjectPage(
            title=record["filename"],
            facts=[
                ("Id", record["_id"]),
                ("Type", record["content_type"]),
                ("Size", f"{filesizeformat(record['size'])} ({record['size']} bytes)"),
                ("SHA-256", record["sha256"]),
                ("Scan", state(record["security_status"])),
                ("Uploaded", moment(record["uploaded_at"])),
                ("Uploaded with the key", found["key"]),
                ("Downloads", record["downloads"]),
                ("Last downloaded", moment(record["last_downloaded_at"])),
            ],
            image=f"{address}?preview=1" if served and _is_previewed(record) else "",
            links=[("Download", address)] if served else [],
            texts=[("Metadata", pretty(record["metadata"]))],
            tables=[Table(columns, accesses, "Access log", "Nobody has downloaded it.")],
            actions=[
                Action("rescan", "Scan again"),
                Action("delete", "Delete file", permission="delete", danger=True),
            ],
        )

    def act(self, request: HttpRequest, key: str, action: str, value: str) -> str:
        if action == "rescan":
            return f"Scanned: {operations.rescan(file_id=key, by=operator(request))}."
        if action == "delete":
            services.delete_file(file_id=key, principal=operator(request))
            return "Deleted."
        raise NotFound

    def content_view(self, request: HttpRequest, key: str) -> HttpResponseBase:
        """The bytes: a download, which is logged, or the picture on the file's page."""
        self.require(request, "view")
        try:
            record = services.get_file(file_id=key)
            preview = "preview" in request.GET and _is_previewed(record)
            return downloads.respond(
                request,
                record,
                principal=operator(request),
                disposition="inline" if preview else "attachment",
                logged=not preview,
            )
        except CoglexError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(self.url(key))


def _is_previewed(record: Record) -> bool:
    return record["content_type"] in _PREVIEWED


def _condition(contains: str, status: str, query: str) -> object:
    """The filter of the search."""
    parts: list[dict[str, Any]] = []
    if contains:
        parts.append({"filename": {"$regex": re.escape(contains), "$options": "i"}})
    if status:
        parts.append({"security_status": status})
    return condition_of(query, *parts)


def _row(record: Record) -> Row:
    cells = [
        record["filename"],
        record["content_type"],
        filesizeformat(record["size"]),
        state(record["security_status"]),
        moment(record["uploaded_at"]),
        record["downloads"],
    ]
    return Row(cells, key=record["_id"])


def _last_day(since: datetime) -> dashboard.Facts:
    count, size = operations.totals()
    return [
        ("Files", f"{count:,}"),
        ("Size", filesizeformat(size)),
        *dashboard.audited(
            since,
            ("Uploaded", "archive.upload", "success"),
            ("Malware", "archive.upload", "malware"),
            ("Deleted", "archive.delete", "success"),
        ),
    ]


dashboard.add_panel(
    "Files", permission="archive.view_file", url="admin:archive_file_changelist", facts=_last_day
)

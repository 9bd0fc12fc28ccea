"""Operators' pages of collections: sizes, documents to browse and edit, indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse

from core import dashboard
from core.adminpages import Action, Input, ListPage, PartAdmin, Row, Table, number_of, operator
from core.admintext import brief, code, moment, pretty
from core.data.encoding import loads
from core.data.names import check_collection, spell_key
from core.data.pages import Query
from core.errors import CoglexError, InvalidInput, NotFound, PreconditionFailed
from storage import operations, services
from storage.models import Collection

_PAGE = 50
_PREVIEW = 220


@dataclass(frozen=True)
class DocumentPage:
    """A document to edit; ``stored`` is what someone else made of it meanwhile."""

    collection: str
    collection_url: str
    text: str
    key: str | None = None
    etag: str = ""
    stored: str = ""


@admin.register(Collection)
class CollectionAdmin(PartAdmin):
    """The collections of clients' documents."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.list_view), name="storage_collection_changelist"),
            path("<str:name>/", view(self.collection_view), name="storage_collection_change"),
            path("<str:name>/indexes/", view(self.indexes_view), name="storage_indexes"),
            path("<str:name>/new/", view(self.document_view), name="storage_new_document"),
            path(
                "<str:name>/documents/<str:key>/", view(self.document_view), name="storage_document"
            ),
        ]

    def _url(self, view: str, *args: str) -> str:
        return reverse(f"{self.admin_site.name}:{view}", args=args)

    def list_page(self, request: HttpRequest) -> ListPage:
        rows = [
            Row(
                [
                    found["name"],
                    f"{found['count']:,}",
                    filesizeformat(found["bytes"]),
                    filesizeformat(found["stored_bytes"]),
                    f"{found['indexes']} ({filesizeformat(found['index_bytes'])})",
                ],
                key=found["name"],
            )
            for found in operations.list_collections()
        ]
        columns = ["Collection", "Documents", "Size", "On the disk", "Indexes"]
        empty = "No collection yet: the first document that a client sends makes one."
        return ListPage(Table(columns, rows, empty=empty))

    # --- one collection ---------------------------------------------------------------------
    def collection_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """Its documents, filtered as by the API; with a POST it is dropped."""
        self.require(request, "view")
        if request.method == "POST":
            return self._drop(request, name)
        filters = [
            Input("query", "Query", request.GET.get("query", ""), hint='{"price": {"$lt": 20}}'),
            Input("sort", "Sort", request.GET.get("sort", ""), hint="-price,name"),
        ]
        try:
            listing = services.list_documents(collection=name, asked=_asked(request))
        except NotFound:
            raise
        except CoglexError as error:
            messages.error(request, error.detail)
            page = ListPage(Table((), ()), filters)
            return self.render(request, "list", page, title=name)
        rows = [
            Row(
                [spell_key(document["_id"]), _preview(document)],
                url=self._url("storage_document", name, spell_key(document["_id"])),
            )
            for document in listing.documents
        ]
        page = ListPage(
            Table(["Key", "Document"], rows, empty="No document fits."),
            filters,
            {"after": listing.next} if listing.next else None,
            links=[
                ("New document", self._url("storage_new_document", name)),
                ("Indexes", self._url("storage_indexes", name)),
            ],
            actions=[
                Action(
                    "delete",
                    "Drop the collection",
                    [Input("name", "Its name, to be sure")],
                    permission="delete",
                    danger=True,
                )
            ],
        )
        return self.render(request, "list", page, title=name)

    def _drop(self, request: HttpRequest, name: str) -> HttpResponseBase:
        self.require(request, "delete")
        if request.POST.get("name") != name:
            messages.error(request, "Nothing was dropped: type the collection's name.")
            return HttpResponseRedirect(request.get_full_path())
        try:
            count = operations.drop_collection(collection=name, by=operator(request))
        except CoglexError as error:
            messages.error(request, error.detail)
        else:
            messages.success(request, f"Dropped {name} with {count:,} documents.")
        return HttpResponseRedirect(self.url())

    # --- indexes ----------------------------------------------------------------------------
    def indexes_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """The indexes with size and use; with a POST one is created or dropped."""
        self.require(request, "view")
        if request.method == "POST":
            return self._change_indexes(request, name)
        try:
            found = operations.list_indexes(collection=name)
            suggested = operations.suggest_indexes(collection=name)
        except CoglexError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(self.url())
        page = ListPage(
            Table(["Index", "Keys", "Options", "Size", "Used", "Since", ""], _rows(found)),
            links=[(f"Documents of {name}", self._url("storage_collection_change", name))],
            actions=[Action("create", "Create an index", _INDEX_INPUTS)]
            + [
                Action(
                    "suggested", f"Create {' '.join(each['keys'])}", value=" ".join(each["keys"])
                )
                for each in suggested
            ],
        )
        return self.render(request, "list", page, title=f"Indexes of {name}")

    def _change_indexes(self, request: HttpRequest, name: str) -> HttpResponseBase:
        action, _, value = request.POST.get("action", "").partition(":")
        self.require(request, "change")
        try:
            if action == "drop":
                operations.drop_index(collection=name, name=value, by=operator(request))
                messages.success(request, f"Dropped {value}.")
            else:
                words = value if action == "suggested" else request.POST.get("keys", "")
                made = operations.create_index(
                    collection=name,
                    keys=operations.parse_keys(words.split()),
                    by=operator(request),
                    **_index_options(request),
                )
                messages.success(request, f"Created {made}.")
        except CoglexError as error:
            messages.error(request, error.detail)
        return HttpResponseRedirect(request.get_full_path())

    # --- one document -----------------------------------------------------------------------
    def document_view(
        self, request: HttpRequest, name: str, key: str | None = None
    ) -> HttpResponseBase:
        """A document as JSON; with a POST it is saved or deleted, if nobody else changed it."""
        self.require(request, "change" if key is None else "view")
        if request.method == "POST":
            return self._changed(request, name, key)
        try:
            check_collection(name)
            page = self._page(name, key)
        except (NotFound, InvalidInput) as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(self._url("storage_collection_change", name))
        return self._shown(request, page)

    def _page(self, name: str, key: str | None) -> DocumentPage:
        place = self._url("storage_collection_change", name)
        if key is None:
            return DocumentPage(name, place, "{\n  \n}")
        found = services.get_document(collection=name, key=key)
        return DocumentPage(name, place, pretty(found.document), key, found.etag)

    def _shown(
        self, request: HttpRequest, page: DocumentPage, status: int = 200
    ) -> HttpResponseBase:
        title = page.key or f"New document in {page.collection}"
        response = self.render(request, "document", page, title=title)
        response.status_code = status
        return response

    def _changed(self, request: HttpRequest, name: str, key: str | None) -> HttpResponseBase:
        deletes = request.POST.get("action") == "delete"
        self.require(request, "delete" if deletes else "change")
        text, etag = request.POST.get("document", ""), request.POST.get("etag", "")
        try:
            if deletes and key is not None:
                operations.delete_document(
                    collection=name, key=key, etag=etag, by=operator(request)
                )
                messages.success(request, f"Deleted {key}.")
                return HttpResponseRedirect(self._url("storage_collection_change", name))
            key = operations.save_document(
                collection=name,
                key=key,
                document=loads(text.encode("utf-8", "surrogatepass")),
                etag=etag or None,
                by=operator(request),
            )
        except PreconditionFailed:
            return self._conflict(request, name, key, text)
        except CoglexError as error:
            messages.error(request, _told(error))
            place = self._url("storage_collection_change", name)
            return self._shown(request, DocumentPage(name, place, text, key, etag), 400)
        messages.success(request, "Saved.")
        return HttpResponseRedirect(self._url("storage_document", name, key))

    def _conflict(
        self, request: HttpRequest, name: str, key: str | None, text: str
    ) -> HttpResponseBase:
        """Both sides, so that the operator can bring them together."""
        place = self._url("storage_collection_change", name)
        try:
            now = self._page(name, key)
            stored, etag = now.text, now.etag
        except NotFound:
            stored, etag = "(deleted)", ""
        messages.error(
            request,
            "Somebody changed this document meanwhile. What is stored now is shown with your "
            "text: bring them together and save again.",
        )
        return self._shown(request, DocumentPage(name, place, text, key, etag, stored), 409)


_INDEX_INPUTS = (
    Input("keys", "Keys", hint="name -price place:2dsphere"),
    Input("expire_after", "Expires after, in seconds", kind="number"),
    Input("partial", "Only documents that match", hint='{"active": true}'),
    Input("unique", "Unique", kind="checkbox"),
    Input("sparse", "Sparse", kind="checkbox"),
)


def _rows(found: Sequence[dict[str, Any]]) -> list[Row]:
    return [
        Row(
            [
                each["name"],
                " ".join(operations.spell_keys(each["keys"])),
                code(brief(each["options"], _PREVIEW)) if each["options"] else "",
                filesizeformat(each["bytes"]),
                f"{each['uses']:,}",
                moment(each["since"]),
            ],
            actions=[]
            if each["name"] == "_id_"
            else [Action("drop", "Drop", danger=True, value=each["name"])],
        )
        for each in found
    ]


def _index_options(request: HttpRequest) -> dict[str, Any]:
    seconds, partial = request.POST.get("expire_after", ""), request.POST.get("partial", "")
    return {
        "unique": "unique" in request.POST,
        "sparse": "sparse" in request.POST,
        "expire_after": number_of(seconds, -1) if seconds else None,
        "partial": loads(partial.encode()) if partial.strip() else None,
    }


def _asked(request: HttpRequest) -> Query:
    query, sort = request.GET.get("query", "").strip(), request.GET.get("sort", "").strip()
    return Query(
        query=loads(query.encode("utf-8", "surrogatepass")) if query else None,
        sort=(loads(sort.encode()) if sort.startswith("{") else sort) if sort else None,
        limit=_PAGE,
        after=request.GET.get("after"),
    )


def _preview(document: dict[str, Any]) -> str:
    rest = {name: value for name, value in document.items() if name != "_id"}
    return code(brief(rest, _PREVIEW))


def _told(error: CoglexError) -> str:
    """What is wrong, and where."""
    places = [field.pointer for field in error.errors if field.pointer]
    return f"{error.detail} ({', '.join(places)})" if places else error.detail


def _totals(_: object) -> dashboard.Facts:
    found = operations.list_collections()
    return [
        ("Collections", f"{len(found):,}"),
        ("Documents", f"{sum(each['count'] for each in found):,}"),
        ("Size", filesizeformat(sum(each["bytes"] for each in found))),
        ("On the disk", filesizeformat(sum(each["stored_bytes"] for each in found))),
    ]


dashboard.add_panel(
    "Documents",
    permission="storage.view_collection",
    url="admin:storage_collection_changelist",
    facts=_totals,
)

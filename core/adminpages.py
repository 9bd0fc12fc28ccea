"""The admin's pages of what is not in SQL: users, files, payments, audit, collections.

A part subclasses ``PartAdmin`` for a model that Django does not manage, which gives it a place in
the admin and its permissions (view, change, delete); what is on its pages it says in plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst

from core.data.encoding import loads
from core.errors import CoglexError, InvalidInput, NotFound

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

Found = TypeVar("Found")
_PAGE = 50


@dataclass(frozen=True)
class Input:
    """A field of a form: ``kind`` is an input's type, or ``select``."""

    name: str
    label: str
    value: str = ""
    kind: str = "text"
    choices: Sequence[tuple[str, str]] = ()
    hint: str = ""


@dataclass(frozen=True)
class Row:
    """A line of a table; ``key`` leads to the page of what it stands for, or ``url`` does."""

    cells: Sequence[object]
    key: str | None = None
    actions: Sequence[Action] = ()
    url: str = ""


@dataclass(frozen=True)
class Action:
    """Something that can be done: a button, with what it asks for. ``permission`` is Django's."""

    name: str
    label: str
    inputs: Sequence[Input] = ()
    permission: str = "change"
    danger: bool = False
    value: str = ""


@dataclass(frozen=True)
class Table:
    """Rows below a heading."""

    columns: Sequence[str]
    rows: Sequence[Row]
    title: str = ""
    empty: str = "Nothing here yet."

    def labelled(self) -> list[tuple[Row, list[tuple[str, object]]]]:
        """Each row with its cells, and with each cell its column, which narrow screens show."""
        return [
            (row, list(zip(chain(self.columns, repeat("")), row.cells, strict=False)))
            for row in self.rows
        ]


@dataclass(frozen=True)
class ListPage:
    """A page that lists: what can be filtered by, the rows, and whether more follow."""

    table: Table
    filters: Sequence[Input] = ()
    more: dict[str, str] | None = None
    links: Sequence[tuple[str, str]] = ()
    actions: Sequence[Action] = ()


@dataclass(frozen=True)
class ObjectPage:
    """A page about one thing: facts, an image, links, texts, tables and what can be done."""

    title: str
    facts: Sequence[tuple[str, object]] = ()
    image: str = ""
    links: Sequence[tuple[str, str]] = ()
    texts: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = ()
    actions: Sequence[Action] = ()


class PartAdmin(_ModelAdmin):
    """The admin of one part."""

    def list_page(self, request: HttpRequest) -> ListPage:
        """What the list shows; the request's GET holds the filters."""
        raise NotImplementedError

    def object_page(self, request: HttpRequest, key: str) -> ObjectPage:
        """What the page of one thing shows; raises NotFound."""
        raise NotImplementedError

    def act(self, request: HttpRequest, key: str, action: str, value: str) -> str:
        """Do what a button says, with the request's POST; returns what to tell the operator."""
        raise NotFound

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", view(self.list_view), name=f"{name}_changelist"),
            path("<path:key>/", view(self.object_view), name=f"{name}_change"),
        ]

    def url(self, key: str | None = None) -> str:
        """The address of the list, or of the page of one thing."""
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}"
        return reverse(f"{name}_change", args=[key]) if key else reverse(f"{name}_changelist")

    def list_view(self, request: HttpRequest) -> HttpResponseBase:
        """The list; a fault in a filter is shown beside it."""
        self.require(request, "view")
        if request.method == "POST":
            return self._acted(request, "")
        try:
            page = self.list_page(request)
        except CoglexError as error:
            messages.error(request, error.detail)
            page = ListPage(Table((), ()), self.filters(request))
        return self.render(
            request, "list", page, title=capfirst(str(self.opts.verbose_name_plural))
        )

    def filters(self, request: HttpRequest) -> Sequence[Input]:
        """The inputs of the list's form, filled with what the request holds."""
        return ()

    def object_view(self, request: HttpRequest, key: str) -> HttpResponseBase:
        """The page of one thing, and what its buttons do."""
        self.require(request, "view")
        if request.method == "POST":
            return self._acted(request, key)
        try:
            page = self.object_page(request, key)
        except (NotFound, InvalidInput) as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(self.url())
        return self.render(request, "object", page, title=page.title)

    def _acted(self, request: HttpRequest, key: str) -> HttpResponse:
        action, _, value = request.POST.get("action", "").partition(":")
        self.require(request, self.permission_for(action))
        try:
            messages.success(request, self.act(request, key, action, value))
        except CoglexError as error:
            messages.error(request, error.detail)
        else:
            if action == "delete":
                return HttpResponseRedirect(self.url())
        return HttpResponseRedirect(request.get_full_path())

    def permission_for(self, action: str) -> str:
        """The permission that an action needs."""
        return "delete" if action == "delete" else "change"

    def require(self, request: HttpRequest, permission: str) -> None:
        """Raise PermissionDenied unless the operator has it for this part."""
        if not self.may(request, permission):
            raise PermissionDenied

    def may(self, request: HttpRequest, permission: str) -> bool:
        """Whether the operator has the permission for this part."""
        checks = {
            "view": self.has_view_permission,
            "change": self.has_change_permission,
            "delete": self.has_delete_permission,
        }
        return checks[permission](request)

    def render(
        self, request: HttpRequest, template: str, page: object, title: str
    ) -> TemplateResponse:
        """The page in the admin's frame."""
        permitted = {name for name in ("change", "delete") if self.may(request, name)}
        more = getattr(page, "more", None)
        query = {name: value for name, value in request.GET.items() if name not in (more or {})}
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "page": page,
            "list_url": self.url(),
            "permitted": permitted,
            "more_url": "?" + urlencode({**query, **more}) if more else "",
        }
        return TemplateResponse(request, f"admin/coglex/{template}.html", context)


def page_of(
    request: HttpRequest, find: Callable[[int, int], list[Found]]
) -> tuple[list[Found], dict[str, str] | None]:
    """What ``find`` has for this page, given limit and skip; and what leads to more of it."""
    skip = number_of(request.GET.get("skip", ""))
    found = find(_PAGE + 1, skip)
    return found[:_PAGE], {"skip": str(skip + _PAGE)} if len(found) > _PAGE else None


def condition_of(query: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """The filter of a search: what the query says as JSON, and the parts."""
    asked = [loads(query.encode())] if query.strip() else []
    if not all(isinstance(each, dict) for each in asked):
        raise InvalidInput("The query must be a JSON object.")
    every = [*asked, *parts]
    return {"$and": every} if every else {}


def operator(request: HttpRequest) -> str:
    """Who does it, for the audit."""
    return f"admin:{request.user.get_username()}"


def number_of(text: str, default: int = 0) -> int:
    """A number from a form's or an address's text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default

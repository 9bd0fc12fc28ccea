"""The admin's pages of API keys and of the audit, over the same functions as the commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.safestring import SafeString

from core import apikeys, audit, auditexport
from core.adminpages import Input, ListPage, ObjectPage, PartAdmin, Row, Table, operator, page_of
from core.admintext import moment, pretty, state
from core.errors import CoglexError
from core.models import APIKey, AuditEntry
from core.scopes import parse_scopes
from core.times import parse_time

# Django's own classes take no parameters at run time.
if TYPE_CHECKING:
    Form = forms.ModelForm[APIKey]
    Admin = admin.ModelAdmin[APIKey]
else:
    Form, Admin = forms.ModelForm, admin.ModelAdmin


class APIKeyForm(Form):
    """A new key: scopes are written one a line."""

    scopes = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="One a line: <service>[/<collection>]:<read|write|*>, or *.",
    )

    class Meta:
        model = APIKey
        fields = ("name", "scopes", "expires_at", "note")

    def clean_scopes(self) -> list[str]:
        """The scopes as a list."""
        scopes = str(self.cleaned_data["scopes"]).split()
        try:
            parse_scopes(scopes)
        except CoglexError as error:
            raise forms.ValidationError(error.detail) from None
        return scopes


@admin.register(APIKey)
class APIKeyAdmin(Admin):
    """Keys are made, shown once, and revoked; nothing of a key can be edited but name and note."""

    list_display = ("name", "prefix", "may", "is_now", "last_used_at", "expires_at")
    list_filter = ("revoked_at", "expires_at")
    change_list_template = "admin/coglex/keys.html"
    search_fields = ("name", "prefix", "note")
    actions = ("revoke", "rotate")

    @admin.display(description="Scopes")
    def may(self, obj: APIKey) -> str:
        """The scopes, as they are written."""
        return ", ".join(obj.scopes)

    @admin.display(description="State")
    def is_now(self, obj: APIKey) -> SafeString | None:
        """Active, expired or revoked."""
        return state(obj.state)

    def get_form(
        self, request: HttpRequest, obj: APIKey | None = None, change: bool = False, **kwargs: Any
    ) -> type[Form]:
        if obj is None:
            kwargs["form"] = APIKeyForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: APIKey | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("name", "scopes", "expires_at", "note")
        return ("name", "note", *self.get_readonly_fields(request, obj))

    def get_readonly_fields(
        self, request: HttpRequest, obj: APIKey | None = None
    ) -> tuple[str, ...]:
        shown = ("prefix", "may", "is_now", "created_at", "expires_at", "revoked_at")
        return () if obj is None else (*shown, "last_used_at")

    def has_delete_permission(self, request: HttpRequest, obj: APIKey | None = None) -> bool:
        """A key that was used stays on record; it can be revoked."""
        return False

    def save_model(self, request: HttpRequest, obj: APIKey, form: Form, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "note"])
            return
        record, key = apikeys.create_key(
            name=obj.name,
            scopes=obj.scopes,
            expires_at=obj.expires_at,
            note=obj.note,
            by=operator(request),
        )
        obj.pk = record.pk
        self._show(request, key)

    @admin.action(description="Revoke the chosen keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        for record in queryset:
            apikeys.revoke_key(record.prefix, by=operator(request))
        self.message_user(request, "Revoked; every process knows within 5 seconds.")

    @admin.action(description="Rotate the chosen keys", permissions=["add", "change"])
    def rotate(self, request: HttpRequest, queryset: QuerySet[APIKey]) -> None:
        for record in queryset:
            try:
                _, key = apikeys.rotate_key(record.prefix, by=operator(request))
            except CoglexError as error:
                self.message_user(request, error.detail, messages.ERROR)
            else:
                self._show(request, key)

    def _show(self, request: HttpRequest, key: str) -> None:
        self.message_user(request, f"The new key, shown only now: {key}", messages.WARNING)


@admin.register(AuditEntry)
class AuditAdmin(PartAdmin):
    """The audit: who did what."""

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        return [path("export/<str:form>/", export, name="core_audit_export"), *super().get_urls()]

    def filters(self, request: HttpRequest) -> Sequence[Input]:
        given = request.GET
        outcomes = [(each, each or "any") for each in ("", "success", "failure", "malware")]
        return [
            Input("action", "Action", given.get("action", ""), hint="auth.signin, or storage."),
            Input("principal", "Who", given.get("principal", ""), hint="admin:ada"),
            Input("target", "To what", given.get("target", "")),
            Input("outcome", "Outcome", given.get("outcome", ""), "select", outcomes),
            Input("since", "Since", given.get("since", ""), hint="2026-01-31"),
            Input("until", "Until", given.get("until", ""), hint="2026-02-01T12:00"),
        ]

    def list_page(self, request: HttpRequest) -> ListPage:
        filters, wanted = self.filters(request), self._wanted(request)
        found, more = page_of(
            request, lambda limit, skip: audit.find(**wanted, limit=limit, skip=skip)
        )
        rows = [
            Row(
                [
                    moment(each["at"]),
                    *(each[name] for name in _COLUMNS),
                    state(each["outcome"]),
                    each["address"],
                ],
                key=str(each["_id"]),
            )
            for each in found
        ]
        columns = ["At", *(name.capitalize() for name in _COLUMNS), "Outcome", "Address"]
        query = urlencode(request.GET)
        return ListPage(
            Table(columns, rows, empty="Nothing fits."),
            filters,
            more,
            links=[
                (f"Export as {form.upper()}", f"{self.url()}export/{form}/?{query}")
                for form in auditexport.FORMS
            ],
        )

    def _wanted(self, request: HttpRequest) -> dict[str, Any]:
        given = {each.name: each.value.strip() or None for each in self.filters(request)}
        times = {name: parse_time(text) for name in ("since", "until") if (text := given[name])}
        return {**given, "since": None, "until": None, **times}

    def object_page(self, request: HttpRequest, key: str) -> ObjectPage:
        shown = audit.plain(audit.get(key))
        details = shown.pop("details")
        shown |= {"at": moment(shown["at"]), "outcome": state(shown["outcome"])}
        return ObjectPage(
            title=f"{shown['action']} {shown['target']}",
            facts=[
                (name.replace("_", " ").strip().capitalize(), value)
                for name, value in shown.items()
            ],
            texts=[("Details", pretty(details))],
        )

    def export_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """All that fits the filters, as a download."""
        self.require(request, "view")
        if form not in auditexport.FORMS:
            raise Http404
        try:
            wanted = self._wanted(request)
        except CoglexError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(self.url())
        response = StreamingHttpResponse(
            auditexport.written(form, audit.walk(**wanted)),
            content_type=auditexport.FORMS[form],
        )
        response["Content-Disposition"] = f'attachment; filename="audit.{form}"'
        return response


_COLUMNS = ("action", "principal", "target")

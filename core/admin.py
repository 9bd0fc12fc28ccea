"""The admin's page of API keys, over the same functions as `manage.py apikeys`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from core import apikeys
from core.adminpages import operator
from core.errors import CoglexError
from core.models import APIKey
from core.scopes import parse_scopes

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

    list_display = ("name", "prefix", "scopes", "state", "last_used_at", "expires_at")
    list_filter = ("revoked_at", "expires_at")
    search_fields = ("name", "prefix", "note")
    actions = ("revoke", "rotate")

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
        shown = ("prefix", "scopes", "state", "created_at", "expires_at", "revoked_at")
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

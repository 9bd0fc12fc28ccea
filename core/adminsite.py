"""The admin's site: Django's, with our first page, and a sign-in that counts guesses."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from core import audit, dashboard
from core.errors import RateLimited
from core.http import limits
from core.http.addresses import client_address

_MOST_OF_A_NAME = 150


class Site(AdminSite):
    """The only admin site."""

    site_header = "Coglex"
    site_title = "Coglex"
    index_title = "Overview"
    # There is no site beside it: what "/" answers is a problem document.
    site_url = None
    index_template = "admin/coglex/dashboard.html"

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The dashboard."""
        context = {
            "parts": dashboard.parts(),
            "requests": dashboard.requests(),
            "panels": dashboard.panels(request),
        }
        return super().index(request, {**context, **(extra_context or {})})

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, after the guess was counted by its address and by whom it is about."""
        if request.method == "POST":
            try:
                _count_guess(request)
            except RateLimited as error:
                messages.error(request, f"Too many tries: wait {error.retry_after} seconds.")
                # The form without what was typed.
                request.method = "GET"
                response = super().login(request, extra_context)
                response.status_code = 429
                response["Retry-After"] = str(error.retry_after)
                return response
        return super().login(request, extra_context)


def _count_guess(request: HttpRequest) -> None:
    address = client_address(request)
    name = request.POST.get("username", "")[:_MOST_OF_A_NAME].casefold()
    rates = (
        ("admin-address", address, settings.COGLEX_RATE_SIGNIN_ADDRESS),
        ("admin-operator", name, settings.COGLEX_RATE_SIGNIN_KEY),
    )
    for limit, key, rate in rates:
        limits.enforce(request, name=limit, key=key, rate=rate)


@receiver(user_logged_in)
def _note_sign_in(sender: object, user: Any, **_: object) -> None:
    name = f"admin:{user.get_username()}"
    audit.record("admin.signin", principal=name, target=name)


@receiver(user_login_failed)
def _note_failure(sender: object, credentials: dict[str, Any], **_: object) -> None:
    name = f"admin:{str(credentials.get('username', ''))[:_MOST_OF_A_NAME]}"
    audit.record("admin.signin", principal="anonymous", target=name, outcome="failure")

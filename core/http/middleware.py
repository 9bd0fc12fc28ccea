"""What every request passes: its id, its log line, and the browser's share only where one is.

Listed in settings.MIDDLEWARE. API paths skip what only the admin needs: sessions, CSRF, messages.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from time import perf_counter

import structlog
from corsheaders.middleware import CorsMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.common import CommonMiddleware
from django.middleware.csrf import CsrfViewMiddleware
from django.middleware.security import SecurityMiddleware
from whitenoise.middleware import WhiteNoiseMiddleware

from core import activity, metrics
from core.errors import MethodNotAllowed
from core.http import limits, problems
from core.http.addresses import client_address
from core.http.carried import carried

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_valid_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
# Version, trace id, parent id, flags; source: https://www.w3.org/TR/trace-context/
_traceparent = re.compile(
    r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
).fullmatch
_API = ("/service/", "/gateway/", "/healthz/", "/readyz/", "/metrics/")
# Containers and load balancers ask them by an address, and nothing in them depends on the host.
_PROBES = {"/healthz", "/readyz"}
_access = structlog.get_logger("coglex.access")


class RequestContext:
    """Gives each request an id, checks its host, and answers with the same path with and without
    its last slash; logs one line when it is done."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _valid_id(given) else uuid.uuid4().hex
        carried(request).request_id = request_id
        address = client_address(request)
        structlog.contextvars.bind_contextvars(
            request_id=request_id,
            address=address,
            user_agent=request.META.get("HTTP_USER_AGENT", "")[:200],
            **_trace(request.META.get("HTTP_TRACEPARENT")),
        )
        try:
            response = self._answer(request)
            response["X-Request-ID"] = request_id
            self._log(request, response, started)
        finally:
            structlog.contextvars.clear_contextvars()
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if request.path_info.rstrip("/") not in _PROBES:
                request.get_host()
        except DisallowedHost as error:
            return problems.respond(error, request)
        if not request.path_info.endswith("/") and not request.path_info.startswith("/static/"):
            request.path_info += "/"
        response = self.get_response(request)
        if isinstance(response, HttpResponseNotAllowed):
            # Django's decorators answer so themselves, in HTML.
            refused = MethodNotAllowed(allowed=response["Allow"].split(", "))
            response = problems.respond(refused, request)
        if request.path_info.startswith(_API):
            for name, value in limits.headers(request).items():
                response[name] = value
            if not response.streaming:
                response.headers.setdefault("Content-Length", str(len(response.content)))  # type: ignore[attr-defined]
            # The key is in a header that shared caches know nothing of.
            response.headers.setdefault("Cache-Control", "private, no-cache")
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    def _log(self, request: HttpRequest, response: HttpResponseBase, started: float) -> None:
        route = request.resolver_match.route if request.resolver_match else None
        principal = carried(request).principal
        seconds = perf_counter() - started
        metrics.observe_request(
            method=request.method, route=route, status=response.status_code, seconds=seconds
        )
        activity.note_request(response.status_code)
        _access.info(
            "request",
            method=request.method,
            route=route,
            status=response.status_code,
            ms=round(seconds * 1000, 2),
            principal=principal.id if principal else None,
        )

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer for plain views as the viewsets do; the admin keeps Django's pages."""
        if request.path_info.startswith("/admin/"):
            return None
        return problems.respond(error, request)


def _trace(traceparent: str | None) -> dict[str, str]:
    """What a caller that traces says of itself, for every log line of the request."""
    found = _traceparent(traceparent) if traceparent else None
    if found is None or not (found[1].strip("0") and found[2].strip("0")):
        return {}
    return {"trace_id": found[1], "parent_id": found[2]}


class CrossOrigin(CorsMiddleware):
    """CORS for the origins that the operator listed; to others a preflight is any OPTIONS."""

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        origin = request.META.get("HTTP_ORIGIN", "")
        if not origin or not self._is_listed(origin):
            return None
        return super().check_preflight(request)

    def _is_listed(self, origin: str) -> bool:
        from corsheaders.conf import conf

        return origin in conf.CORS_ALLOWED_ORIGINS


class ForBrowsers:
    """Mixin: the middleware works on the admin, the documentation and static files only."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(_API):
            return self.get_response(request)  # type: ignore[attr-defined,no-any-return]
        return super().__call__(request)  # type: ignore[misc,no-any-return]


class Security(ForBrowsers, SecurityMiddleware):
    """Django's; API paths never redirect and set the headers they need themselves."""


class StaticFiles(ForBrowsers, WhiteNoiseMiddleware):  # type: ignore[misc]
    """WhiteNoise."""


class Sessions(ForBrowsers, SessionMiddleware):
    """Django's sessions, for operators."""


class Common(ForBrowsers, CommonMiddleware):
    """Django's."""


class Csrf(ForBrowsers, CsrfViewMiddleware):
    """Django's; an API key in a header is not sent by a browser on its own."""


class Authentication(ForBrowsers, AuthenticationMiddleware):
    """Django's, for operators."""


class Messages(ForBrowsers, MessageMiddleware):
    """Django's."""


class Frames(ForBrowsers, XFrameOptionsMiddleware):
    """Django's."""

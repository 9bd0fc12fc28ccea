"""What every request passes: its id, its log line, and from there on one of two ways.

Stands first in settings.MIDDLEWARE. API paths go straight to their view; all others pass what
stands below it, which only browsers need: sessions, CSRF, messages, static files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from time import perf_counter
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from core import activity, logs, metrics
from core.errors import MethodNotAllowed
from core.http import limits, problems
from core.http.addresses import client_address
from core.http.carried import carried
from core.http.paths import is_api
from core.http.routes import resolve

GetResponse = Callable[[HttpRequest], HttpResponseBase]

_valid_id = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
# Version, trace id, parent id, flags; source: https://www.w3.org/TR/trace-context/
_traceparent = re.compile(
    r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
).fullmatch
_PROBES = {"/healthz", "/readyz"}
# Host headers that were found to be allowed, by what is allowed.
_known_hosts: set[tuple[str | None, ...]] = set()
_MOST_HOSTS = 1000


class RequestContext:
    """Gives each request an id, checks its host, and answers with the same path with and without
    its last slash; logs one line when it is done."""

    def __init__(self, get_response: GetResponse) -> None:
        self._browsers = get_response
        self._cross_origin = CrossOrigin(call_view)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = perf_counter()
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _valid_id(given) else os.urandom(16).hex()
        carried(request).request_id = request_id
        address = client_address(request)
        logs.set_context(
            {
                "address": address,
                "user_agent": request.META.get("HTTP_USER_AGENT", "")[:200],
                "request_id": request_id,
                **_trace(request.META.get("HTTP_TRACEPARENT")),
            }
        )
        try:
            response = self._answer(request)
            response["X-Request-ID"] = request_id
            self._log(request, response, started)
        finally:
            logs.set_context({})
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        try:
            _check_host(request)
        except DisallowedHost as error:
            return problems.respond(error, request)
        if not request.path_info.endswith("/") and not request.path_info.startswith("/static/"):
            request.path_info += "/"
        if not is_api(request.path_info):
            return self._plainly(self._browsers(request), request)
        answer = self._cross_origin if settings.CORS_ALLOWED_ORIGINS else call_view
        response = self._plainly(answer(request), request)
        for name, value in limits.headers(request).items():
            response[name] = value
        headers = response.headers
        if not response.streaming:
            headers.setdefault("Content-Length", str(len(response.content)))  # type: ignore[attr-defined]
        # The key is in a header that shared caches know nothing of.
        headers.setdefault("Cache-Control", "private, no-cache")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    @staticmethod
    def _plainly(response: Any, request: HttpRequest) -> HttpResponseBase:
        if isinstance(response, HttpResponseNotAllowed):
            # Django's decorators answer so themselves, in HTML.
            refused = MethodNotAllowed(allowed=response["Allow"].split(", "))
            return problems.respond(refused, request)
        return response  # type: ignore[no-any-return]

    def _log(self, request: HttpRequest, response: HttpResponseBase, started: float) -> None:
        route = request.resolver_match.route if request.resolver_match else None
        principal = carried(request).principal
        seconds = perf_counter() - started
        metrics.observe_request(
            method=request.method, route=route, status=response.status_code, seconds=seconds
        )
        activity.note_request(response.status_code)
        logs.write_access(
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


def _check_host(request: HttpRequest) -> None:
    """Raise DisallowedHost for a host that this server does not answer for; cheap for known ones.

    Containers and load balancers probe by an address, and nothing in that depends on the host.
    """
    key = (request.META.get("HTTP_HOST"), *settings.ALLOWED_HOSTS)
    if key in _known_hosts or request.path_info.rstrip("/") in _PROBES:
        return
    request.get_host()
    if len(_known_hosts) < _MOST_HOSTS:
        _known_hosts.add(key)


def call_view(request: HttpRequest) -> HttpResponseBase:
    """The answer of the view that the path means; whatever it raises is a problem document."""
    try:
        found = resolve(request.path_info)
        request.resolver_match = found
        response: HttpResponseBase = found.func(request, *found.args, **found.kwargs)
        if not getattr(response, "is_rendered", True):
            # REST framework's own answers, from modules of the gateway.
            return response.render()  # type: ignore[attr-defined, no-any-return]
    except Exception as error:  # noqa: BLE001 - the last place before the client
        return problems.respond(error, request)
    return response


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

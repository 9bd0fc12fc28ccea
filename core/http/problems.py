"""Every error as a problem document (RFC 9457): the one place that gives errors their status.

REST framework calls ``handle_exception``, Django's handlers and the middleware the others.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from types import UnionType
from typing import Any

import orjson
import structlog
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions as drf

from core import errors
from core.errors import CoglexError, FieldError, RetryLater
from core.http.carried import AnyRequest, carried

log = structlog.get_logger("coglex.problems")

# PostgreSQL's code, see its documentation's appendix A.
_READ_ONLY = "25006"

STATUSES: dict[type[CoglexError], HTTPStatus] = {
    errors.InvalidInput: HTTPStatus.BAD_REQUEST,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.CardDeclined: HTTPStatus.PAYMENT_REQUIRED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.RangeNotSatisfiable: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.UnsupportedType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.Unprocessable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StripeUnavailable: HTTPStatus.BAD_GATEWAY,
    errors.QueryTimeout: HTTPStatus.GATEWAY_TIMEOUT,
    CoglexError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status_of(error: CoglexError) -> HTTPStatus:
    """The status of an error: its own, or that of the nearest class above it."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def problem(error: CoglexError, request_id: str) -> HttpResponse:
    """The answer for one of the domain's errors."""
    status = status_of(error)
    body: dict[str, object] = {
        "type": f"urn:coglex:problem:{error.code}",
        "title": error.title,
        "status": status.value,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        **error.extra,
    }
    if error.errors:
        body["errors"] = [_field(field) for field in error.errors]
    response = HttpResponse(
        orjson.dumps(body), status=status.value, content_type="application/problem+json"
    )
    if isinstance(error, RetryLater):
        response["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.MissingAPIKey | errors.InvalidAPIKey):
        response["WWW-Authenticate"] = "ApiKey"
    if isinstance(error, errors.NotSignedIn | errors.InvalidCredentials):
        response["WWW-Authenticate"] = "Session"
    if isinstance(error, errors.MethodNotAllowed):
        response["Allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.RangeNotSatisfiable):
        response["Content-Range"] = f"bytes */{error.size}"
    return response


def _field(field: FieldError) -> dict[str, str]:
    place = {"pointer": field.pointer, "parameter": field.parameter}
    return {
        **{name: value for name, value in place.items() if value is not None},
        "code": field.code,
        "detail": field.detail,
    }


# What the others raise, and the domain's word for it; REST framework's 405 is named by its view.
_FOREIGN: tuple[tuple[type[BaseException] | UnionType, Callable[[], CoglexError]], ...] = (
    (Http404, errors.NotFound),
    (RequestDataTooBig, errors.BodyTooLarge),
    (
        DisallowedHost,
        partial(
            errors.InvalidInput, "The Host header names a host that this server does not serve."
        ),
    ),
    (SuspiciousOperation | BadRequest, errors.InvalidInput),
    (
        UnreadablePostError,
        partial(errors.InvalidInput, "The body ended before its announced length."),
    ),
    (PermissionDenied | drf.PermissionDenied, errors.Forbidden),
    (drf.MethodNotAllowed, errors.MethodNotAllowed),
    (
        DataError,
        partial(errors.InvalidInput, "A value cannot be stored: it holds a NUL, or is too large."),
    ),
)


def domain_error(error: BaseException) -> CoglexError | None:
    """The domain's error for one of Django's or REST framework's; None for a bug."""
    if isinstance(error, CoglexError):
        return error
    if _is_outage(error):
        return errors.DatabaseUnavailable()
    return next((made() for kind, made in _FOREIGN if isinstance(error, kind)), None)


def _is_outage(error: BaseException) -> bool:
    """Whether Django's database does not do its work now; a standby refuses to write."""
    if isinstance(error, SessionInterrupted) and isinstance(error.__context__, UpdateError):
        # Whatever the database says to a session that is kept is this to Django.
        error = error.__context__.__context__ or error
    refused = isinstance(error, DatabaseError) and (
        getattr(error.__cause__, "sqlstate", None) == _READ_ONLY
    )
    return refused or isinstance(error, OperationalError | InterfaceError)


def respond(error: BaseException, request: AnyRequest) -> HttpResponse:
    """The answer for anything that was raised; what nobody expected is logged whole."""
    known = domain_error(error)
    if known is None:
        log.error("unexpected_error", exc_info=error)
    elif isinstance(error, DataError):
        log.warning("sql_refused_value", exc_info=error)
    elif _is_outage(error):
        log.error("sql_unavailable", error=type(error).__name__)
    return problem(known or CoglexError(), carried(request).request_id)


def handle_exception(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """REST framework's EXCEPTION_HANDLER."""
    if isinstance(error, drf.MethodNotAllowed):
        methods = [method for method in context["view"].allowed_methods if method != "OPTIONS"]
        error = errors.MethodNotAllowed(allowed=methods)
    return respond(error, context["request"])


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return respond(exception, request)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return respond(exception, request)


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404, and the view of every path below /service/ that is not ours."""
    return respond(Http404(), request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, called while what was raised is handled; its log has the traceback."""
    error = sys.exception()
    known = domain_error(error) if error else None
    return problem(known or CoglexError(), carried(request).request_id)

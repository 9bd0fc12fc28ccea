"""Every error as a problem document (RFC 9457): the one place that gives errors their status.

REST framework calls ``handle_exception``, Django's handlers and the middleware the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions as drf

from core import errors
from core.errors import CoglexError, FieldError, RetryLater
from core.http.carried import AnyRequest, carried

log = structlog.get_logger("coglex.problems")

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


def domain_error(error: BaseException) -> CoglexError | None:
    """The domain's error for one of Django's or REST framework's; None for a bug."""
    if isinstance(error, CoglexError):
        return error
    if isinstance(error, Http404):
        return errors.NotFound()
    if isinstance(error, RequestDataTooBig):
        return errors.BodyTooLarge()
    if isinstance(error, DisallowedHost):
        return errors.InvalidInput("The Host header names a host that this server does not serve.")
    if isinstance(error, SuspiciousOperation | BadRequest):
        return errors.InvalidInput()
    if isinstance(error, UnreadablePostError):
        return errors.InvalidInput("The body ended before its announced length.")
    if isinstance(error, PermissionDenied | drf.PermissionDenied):
        return errors.Forbidden()
    if isinstance(error, drf.MethodNotAllowed):
        return errors.MethodNotAllowed()
    if isinstance(error, OperationalError | InterfaceError):
        return errors.DatabaseUnavailable()
    return None


def respond(error: BaseException, request: AnyRequest) -> HttpResponse:
    """The answer for anything that was raised; what nobody expected is logged whole."""
    known = domain_error(error)
    if known is None:
        log.error("unexpected_error", exc_info=error)
    elif isinstance(error, OperationalError | InterfaceError):
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
    """Django's handler500; what was raised is in Django's own log record."""
    return problem(CoglexError(), carried(request).request_id)

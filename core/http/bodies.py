"""Reading a request's JSON: its body, within a size, and its query parameters.

Called by the services' views.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http.request import UnreadablePostError

from core.data.encoding import loads
from core.errors import (
    BodyTooLarge,
    InvalidInput,
    InvalidJSON,
    InvalidParameter,
    UnsupportedType,
)
from core.http.carried import AnyRequest, carried

_CHUNK = 1024 * 1024


def json_body(request: AnyRequest) -> object:
    """The body as JSON values; raises UnsupportedType, BodyTooLarge or InvalidJSON."""
    check_type(request)
    raw = raw_body(request)
    if not raw:
        raise InvalidJSON("The body is empty.")
    return loads(raw)


def object_body(request: AnyRequest, required: set[str], optional: set[str]) -> dict[str, Any]:
    """The body, an object with these members and no others; raises what ``json_body`` does."""
    body = json_body(request)
    if not isinstance(body, dict):
        raise InvalidInput.at("", "The body must be a JSON object.")
    for name in sorted(required - body.keys()):
        raise InvalidInput.at(f"/{name}", f"{name} is missing.")
    for name in body.keys() - required - optional:
        raise InvalidInput.at(f"/{name}", f"{name[:100]!r} is not known here.")
    return body


def check_type(request: AnyRequest) -> None:
    """Raise UnsupportedType unless the body is declared as JSON in UTF-8."""
    declared = request.META.get("CONTENT_TYPE", "")
    if declared == "application/json":
        return
    kind, _, parameters = declared.partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in {"", "utf-8", "utf8"}:
        raise UnsupportedType


def raw_body(request: AnyRequest) -> bytes:
    """The bytes of the body, read once and kept on the request."""
    held = carried(request)
    if held.body is None:
        held.body = _read(request)
    return held.body


def _read(request: AnyRequest) -> bytes:
    limit = settings.COGLEX_MAX_BODY_BYTES
    announced = request.META.get("CONTENT_LENGTH") or None
    try:
        length = None if announced is None else int(announced)
    except ValueError:
        raise InvalidInput("Content-Length is not a number.") from None
    if length is not None and length > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    chunks: list[bytes] = []
    size = 0
    try:
        while size <= limit and (chunk := request.read(_CHUNK)):
            chunks.append(chunk)
            size += len(chunk)
    except (UnreadablePostError, OSError):
        raise InvalidInput("The body ended before its announced length.") from None
    if size > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    if length is not None and size != length:
        raise InvalidInput("The body ended before its announced length.")
    return b"".join(chunks)


def parameter(request: AnyRequest, name: str) -> str | None:
    """A query parameter, or None; given twice it is InvalidParameter: which one counts?"""
    if not request.META.get("QUERY_STRING"):
        return None
    values = request.GET.getlist(name)
    if len(values) > 1:
        raise InvalidParameter.of(name, f"The parameter {name!r} stands twice.")
    return values[0] if values else None


def json_parameter(request: AnyRequest, name: str) -> object | None:
    """A query parameter's JSON; None when the parameter is absent."""
    text = parameter(request, name)
    if text is None:
        return None
    try:
        value = loads(text.encode("utf-8", "surrogatepass"))
    except InvalidJSON as error:
        raise InvalidParameter.of(name, error.detail) from None
    if value is None:
        raise InvalidParameter.of(name, f"The parameter {name!r} must not be null.")
    return value


def integer_parameter(request: AnyRequest, name: str, low: int, high: int) -> int | None:
    """A whole number between ``low`` and ``high``, or None when the parameter is absent."""
    text = parameter(request, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high):
        raise InvalidParameter.of(name, f"{name} must be a whole number from {low} to {high}.")
    return int(text)


def flag_parameter(request: AnyRequest, name: str) -> bool:
    """``true`` or ``false``; absent is false."""
    text = parameter(request, name)
    if text not in {None, "true", "false"}:
        raise InvalidParameter.of(name, f"{name} must be true or false.")
    return text == "true"

"""Stripe's form encoding, and its refusal of what is not one of a request's parameters.

What parameters there are is read from the SDK's own types (``stripe.params``).
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

from stripe import RequestOptions
from typing_extensions import is_typeddict

_part = re.compile(r"\[([^\]]*)\]")
_NOT_SENT = frozenset(RequestOptions.__annotations__)


class Refused(Exception):
    """Stripe's error: a status, and what is under ``error``."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type_: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        said = {"type": type_, "message": message, "code": code, "param": param}
        self.error = {name: value for name, value in said.items() if value is not None}


def decoded(text: str) -> dict[str, Any]:
    """``a[0][b]=1`` as ``{"a": {"0": {"b": "1"}}}``; what is a list is told by its type."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        first, *_ = name.split("[", 1)
        path = [first, *_part.findall(name)]
        place = found
        for step in path[:-1]:
            place = place.setdefault(step, {})
        place[path[-1]] = value
    return found


def checked(params: dict[str, Any], kind: type, at: str = "") -> dict[str, Any]:
    """The parameters with the types that they should have; raises Refused."""
    hints = _hints(kind)
    for name in params:
        if name not in hints:
            where = _named(at, name)
            raise Refused(
                f"Received unknown parameter: {where}", code="parameter_unknown", param=where
            )
    for name in sorted(_required(kind)):
        if name not in params:
            where = _named(at, name)
            raise Refused(
                f"Missing required param: {where}.", code="parameter_missing", param=where
            )
    return {name: _value(value, hints[name], _named(at, name)) for name, value in params.items()}


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The parameters' types, without the SDK's own options, which are not sent."""
    sent = {name: hint for name, hint in kind.__annotations__.items() if name not in _NOT_SENT}
    return get_type_hints(
        type("Sent", (), {"__annotations__": sent, "__module__": kind.__module__})
    )


def _required(kind: Any) -> frozenset[str]:
    """Those whose annotation is not wrapped in NotRequired."""
    raw = {name: str(hint) for name, hint in kind.__annotations__.items()}
    return frozenset(name for name in _hints(kind) if "NotRequired[" not in raw.get(name, "N"))


def _named(at: str, name: str) -> str:
    return f"{at}[{name}]" if at else name


def _value(value: Any, hint: Any, at: str) -> Any:
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return _any_of(value, get_args(hint), at)
    if origin is Literal:
        if value in get_args(hint):
            return value
        raise Refused(
            f"Invalid {at}: must be one of {', '.join(map(str, get_args(hint)))}", param=at
        )
    if origin is list:
        return _list(value, get_args(hint)[0], at)
    if is_typeddict(hint):
        if not isinstance(value, dict):
            raise Refused("Invalid object", param=at)
        return checked(value, hint, at)
    if origin is dict or isinstance(value, dict):
        if not isinstance(value, dict) or hint in {str, int, bool, float, Decimal}:
            raise Refused("Invalid object", param=at)
        return value
    return _scalar(value, hint, at)


def _any_of(value: Any, hints: tuple[Any, ...], at: str) -> Any:
    """What fits the value first; text fits last, as all fits text."""
    first: Refused | None = None
    for hint in sorted(hints, key=lambda each: each is str):
        try:
            return _value(value, hint, at)
        except Refused as error:
            # What goes deepest says most.
            if first is None or len(error.error.get("param", "")) > len(first.error["param"]):
                first = error
    assert first is not None  # noqa: S101 - a union has members
    raise first


def _list(value: Any, hint: Any, at: str) -> list[Any]:
    if not isinstance(value, dict) or not all(each.isdigit() or not each for each in value):
        raise Refused("Invalid array", param=at)
    return [_value(each, hint, f"{at}[{index}]") for index, each in value.items()]


def _scalar(value: Any, hint: Any, at: str) -> Any:
    if hint is bool:
        if value not in {"true", "false"}:
            raise Refused(f"Invalid boolean: {value}", param=at)
        return value == "true"
    if hint is int:
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise Refused(f"Invalid integer: {value}", code="parameter_invalid_integer", param=at)
        return int(value)
    if hint in {float, Decimal}:
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            raise Refused(f"Invalid decimal: {value}", param=at)
        return value
    if hint is str:
        return value
    raise Refused("Invalid value", param=at)

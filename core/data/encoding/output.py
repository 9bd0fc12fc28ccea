"""From what MongoDB stores to relaxed Extended JSON v2.

orjson writes what JSON knows by itself; the types it does not know come to ``wrap``. Types
that clients cannot write, but other programs may have stored, come out as the specification says.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite

import orjson
from bson import (
    Binary,
    Code,
    DBRef,
    Decimal128,
    Int64,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
)
from bson.binary import UUID_SUBTYPE
from bson.datetime_ms import DatetimeMS

Wrap = Callable[[object], object]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - BSON dates are decoded as naive UTC
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


def dumps(value: object, wrapping: Wrap | None = None) -> bytes:
    """``value``, as decoded from BSON, as UTF-8 JSON; lossless but for the width of integers.

    ``wrapping`` writes the types that JSON does not know; ``wrap`` unless given.
    """
    default = wrapping or wrap
    text = orjson.dumps(value, default=default, option=_OPTIONS)
    # orjson writes NaN and the infinities as null.
    if b"null" in text and _has_non_finite(value):
        return orjson.dumps(_wrap_non_finite(value), default=default, option=_OPTIONS)
    return text


def _has_non_finite(value: object) -> bool:
    if isinstance(value, float):
        return not isfinite(value)
    if isinstance(value, dict):
        return any(_has_non_finite(item) for item in value.values())
    return isinstance(value, list | tuple) and any(_has_non_finite(item) for item in value)


def _wrap_non_finite(value: object) -> object:
    if isinstance(value, float) and not isfinite(value):
        name = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124
        return {"$numberDouble": name}
    if isinstance(value, dict):
        return {name: _wrap_non_finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_wrap_non_finite(item) for item in value]
    return value


def wrap(value: object) -> object:
    """A value of a type that JSON does not know as the Extended JSON for it."""
    for kind in type(value).__mro__:
        if write := _WRAPPERS.get(kind):
            return write(value)
    raise TypeError(f"{type(value).__name__} is not a BSON type")


def _date(value: datetime) -> object:
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    if value.year < 1970:
        return _millis((value - _EPOCH) // timedelta(milliseconds=1))
    # BSON keeps milliseconds, and they are written only where there are some.
    precise = "milliseconds" if value.microsecond >= 1000 else "seconds"
    return {"$date": value.isoformat(timespec=precise) + "Z"}


def _millis(value: int) -> object:
    return {"$date": {"$numberLong": str(value)}}


def _binary(value: bytes) -> object:
    subtype = value.subtype if isinstance(value, Binary) else 0
    if subtype == UUID_SUBTYPE and len(value) == 16:
        return {"$uuid": str(uuid.UUID(bytes=bytes(value)))}
    return {"$binary": {"base64": base64.b64encode(value).decode(), "subType": f"{subtype:02x}"}}


def _regex(value: Regex[str]) -> object:
    flags = "".join(
        letter
        for bit, letter in ((2, "i"), (4, "l"), (8, "m"), (16, "s"), (32, "u"), (64, "x"))
        if value.flags & bit
    )
    return {"$regularExpression": {"pattern": value.pattern, "options": flags}}


def _code(value: Code) -> object:
    code: dict[str, object] = {"$code": str(value)}
    return code if value.scope is None else {**code, "$scope": dict(value.scope)}


_WRAPPERS: dict[type, Callable[..., object]] = {
    ObjectId: lambda value: {"$oid": str(value)},
    datetime: _date,
    DatetimeMS: lambda value: _millis(int(value)),
    Int64: int,
    Decimal128: lambda value: {"$numberDecimal": str(value)},
    Binary: _binary,
    bytes: _binary,
    Regex: _regex,
    Timestamp: lambda value: {"$timestamp": {"t": value.time, "i": value.inc}},
    MinKey: lambda _: {"$minKey": 1},
    MaxKey: lambda _: {"$maxKey": 1},
    Code: _code,
    DBRef: lambda value: dict(value.as_doc()),
}

"""From plain JSON values to what MongoDB stores: typed wrappers, field names, nesting.

Source: MongoDB's specification "Extended JSON v2". ``bson.json_util`` is not for input: it
builds code, references and patterns from whatever a client sends.
"""

from __future__ import annotations

import base64
import binascii
import decimal
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import cast

from bson import Binary, Decimal128, Int64, ObjectId
from bson.binary import UUID_SUBTYPE
from bson.datetime_ms import DatetimeMS
from bson.errors import BSONError

from core.errors import InvalidDocument, InvalidFieldName

MAX_DEPTH = 50

_field_name = re.compile(r"[^$.\0][^.\0]*").fullmatch
_date = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,3})\d*)?(Z|[+-]\d\d:?\d\d)", re.ASCII
).fullmatch
_integer = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII).fullmatch
_number = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII).fullmatch
_object_id = re.compile(r"[0-9a-fA-F]{24}").fullmatch
_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_subtype = re.compile(r"[0-9a-fA-F]{1,2}").fullmatch
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def escape(name: str) -> str:
    """One reference token of a JSON Pointer, with its slash."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def is_wrapper(value: object) -> bool:
    """Whether this is a typed value in Extended JSON, such as ``{"$oid": "…"}``."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _WRAPPERS


def decode_document(value: object) -> dict[str, object]:
    """A client's document as MongoDB will store it: the same one, where there is nothing to change.

    Raises InvalidDocument, with a pointer, for a value that is no object, a wrapper that is not
    accepted, more than 50 levels; InvalidFieldName for a name that is empty, starts with ``$``,
    or contains ``.`` or NUL.
    """
    if not isinstance(value, dict) or is_wrapper(value):
        raise InvalidDocument.at("", "A document must be a JSON object.")
    return _decode_object(value, 1)


def decode_value(value: object, pointer: str = "") -> object:
    """Any value of a document as MongoDB will store it; errors point below ``pointer``."""
    try:
        return _decode(value, 0)
    except InvalidDocument as error:
        raise error.under(pointer) from None


def _decode(value: object, depth: int) -> object:
    if isinstance(value, dict):
        if len(value) == 1 and (unwrap := _WRAPPERS.get(next(iter(value)))):
            return _unwrap(unwrap, value)
        return _decode_object(value, depth + 1)
    if isinstance(value, list):
        return _decode_list(value, depth + 1)
    return value


def _decode_object(value: dict[str, object], depth: int) -> dict[str, object]:
    _bound(depth)
    decoded: dict[str, object] | None = None
    for name, item in value.items():
        # Most names are identifiers, which is cheaper to find.
        if not (name.isidentifier() or _field_name(name)):
            raise _name_error(name)
        if item.__class__ is dict or item.__class__ is list:
            try:
                new = _decode(item, depth)
            except InvalidDocument as error:
                raise error.under(escape(name)) from None
            if new is not item:
                decoded = decoded or dict(value)
                decoded[name] = new
    return value if decoded is None else decoded


def _decode_list(value: list[object], depth: int) -> list[object]:
    _bound(depth)
    decoded: list[object] | None = None
    for index, item in enumerate(value):
        if item.__class__ is dict or item.__class__ is list:
            try:
                new = _decode(item, depth)
            except InvalidDocument as error:
                raise error.under(f"/{index}") from None
            if new is not item:
                decoded = decoded or list(value)
                decoded[index] = new
    return value if decoded is None else decoded


def _bound(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidDocument.at("", f"Values are nested more than {MAX_DEPTH} levels deep.")


def _name_error(name: str) -> InvalidFieldName:
    if name in _REFUSED:
        return InvalidFieldName.at(escape(name), f"Values of the type {name} are not accepted.")
    if name in _WRAPPERS:
        return InvalidFieldName.at(escape(name), f"{name} must be the only key of its object.")
    return InvalidFieldName.at(escape(name), InvalidFieldName.default_detail)


def _unwrap(unwrap: Callable[[object], object], value: dict[str, object]) -> object:
    ((name, operand),) = value.items()
    try:
        return unwrap(operand)
    except (ValueError, OverflowError, BSONError, decimal.DecimalException):
        message = f"The operand of {name} is not valid."
        raise InvalidDocument.at(escape(name), message) from None


def _text(operand: object, fits: Callable[[str], object]) -> str:
    if not isinstance(operand, str) or len(operand) > 400 or not fits(operand):
        raise ValueError
    return operand


def _to_object_id(operand: object) -> ObjectId:
    return ObjectId(_text(operand, _object_id))


def _to_int64(operand: object) -> Int64:
    return Int64(_within_64_bits(operand))


def _within_64_bits(operand: object) -> int:
    number = int(_text(operand, _integer))
    if not -(2**63) <= number < 2**63:
        raise ValueError
    return number


def _to_int32(operand: object) -> int:
    number = int(_text(operand, _integer))
    if not -(2**31) <= number < 2**31:
        raise ValueError
    return number


def _to_double(operand: object) -> float:
    number = float(_text(operand, _number))
    if not isfinite(number):
        raise ValueError
    return number


def _to_decimal(operand: object) -> Decimal128:
    return Decimal128(_text(operand, _number))


def _to_date(operand: object) -> datetime | DatetimeMS:
    if isinstance(operand, dict) and list(operand) == ["$numberLong"]:
        millis = _within_64_bits(operand["$numberLong"])
        since = timedelta(milliseconds=millis) if abs(millis) < 10**15 else None
        if since is None or not _FIRST - _EPOCH <= since <= _LAST - _EPOCH:
            return DatetimeMS(millis)
        return _EPOCH + since
    match = _date(operand) if isinstance(operand, str) else None
    if match is None:
        raise ValueError
    seconds, fraction, zone = match.groups()
    return datetime.fromisoformat(f"{seconds}.{(fraction or '').ljust(3, '0')}{zone}").astimezone(
        UTC
    )


def _to_binary(operand: object) -> Binary:
    if not isinstance(operand, dict) or set(operand) != {"base64", "subType"}:
        raise ValueError
    subtype = int(_text(operand["subType"], _subtype), 16)
    if not isinstance(operand["base64"], str):
        raise ValueError
    try:
        data = base64.b64decode(operand["base64"], validate=True)
    except binascii.Error:
        raise ValueError from None
    if subtype == UUID_SUBTYPE and len(data) != 16:
        raise ValueError
    return Binary(data, subtype)


def _to_uuid(operand: object) -> Binary:
    return Binary(uuid.UUID(_text(operand, _uuid)).bytes, UUID_SUBTYPE)


_WRAPPERS = cast(
    "dict[str, Callable[[object], object]]",
    {
        "$oid": _to_object_id,
        "$date": _to_date,
        "$numberLong": _to_int64,
        "$numberInt": _to_int32,
        "$numberDouble": _to_double,
        "$numberDecimal": _to_decimal,
        "$binary": _to_binary,
        "$uuid": _to_uuid,
    },
)
_REFUSED = frozenset(
    "$code $scope $dbPointer $ref $id $db $symbol $regularExpression $regex $options "
    "$timestamp $minKey $maxKey $undefined $type".split()
)

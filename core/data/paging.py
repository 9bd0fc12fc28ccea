"""Where a page of a list ends, as a condition on the documents after it and as a signed token.

MongoDB sorts values of all types in one order, but its comparison operators look at one type at
a time; the conditions here spell the whole order out. An array sorts by its least element
(ascending) or its greatest (descending), which is why "after" is also a statement about what no
element may be.
Source: https://www.mongodb.com/docs/v6.0/reference/bson-type-comparison-order/
"""

from __future__ import annotations

import base64
import binascii
import hmac
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import bson
from bson import Binary, Decimal128, ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from django.conf import settings

from core.errors import InvalidCursor

Sort = Sequence[tuple[str, int]]
Condition = dict[str, Any]

_UNDEFINED, _NULL, _NUMBER, _ARRAY, _BOOL = 1, 2, 3, 6, 9
# The brackets of the order, with the aliases that $type knows them by. Missing fields sort as
# null, an empty array as undefined.
_BRACKETS: tuple[tuple[str, ...], ...] = (
    ("minKey",),
    ("undefined",),
    ("null",),
    ("number",),
    ("string", "symbol"),
    ("object",),
    ("array",),
    ("binData",),
    ("objectId",),
    ("bool",),
    ("date",),
    ("timestamp",),
    ("regex",),
    ("dbPointer",),
    ("javascript", "javascriptWithScope"),
    ("maxKey",),
)
_RANKS: tuple[tuple[type | tuple[type, ...], int], ...] = (
    (bool, _BOOL),
    ((int, float, Decimal128), _NUMBER),
    (str, 4),
    (dict, 5),
    ((bytes, Binary), 7),
    (ObjectId, 8),
    ((datetime, DatetimeMS), 10),
)
_MAX_TOKEN = 6000
_SMALL = 300
_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_MS
)


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page: the sort values of its last document, or how many came before."""

    values: tuple[object, ...] | None = None
    offset: int = 0


def seal(position: Position, context: str) -> str:
    """The position as a token that only this server makes, good for the list ``context`` only."""
    payload = _packed(_encode(position))
    if len(payload) > _MAX_TOKEN:
        payload = _packed(_encode(Position(offset=position.offset)))
    return base64.urlsafe_b64encode(_sign(payload, context) + payload).rstrip(b"=").decode()


def unseal(token: str, context: str) -> Position:
    """The position in a token; raises InvalidCursor for one that was not made for this list."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise InvalidCursor.of("after", InvalidCursor.default_detail) from None
    signature, payload = raw[:16], raw[16:]
    if not hmac.compare_digest(signature, _sign(payload, context)):
        raise InvalidCursor.of("after", InvalidCursor.default_detail)
    fields = bson.decode(_unpacked(payload), _CODEC)
    return Position(
        values=tuple(fields["values"]) if "values" in fields else None, offset=fields["offset"]
    )


def _packed(raw: bytes) -> bytes:
    """Compressed where that is worth it: zlib takes as long to begin as all else here."""
    return raw if len(raw) <= _SMALL else zlib.compress(raw, 1)


def _unpacked(payload: bytes) -> bytes:
    # BSON begins with its own length.
    size = int.from_bytes(payload[:4], "little")
    return payload if size == len(payload) else zlib.decompress(payload)


def _encode(position: Position) -> bytes:
    fields: dict[str, Any] = {"offset": position.offset}
    if position.values is not None:
        fields["values"] = list(position.values)
    return bson.encode(fields, codec_options=_CODEC)


def _sign(payload: bytes, context: str) -> bytes:
    message = f"{context}\0".encode("utf-8", "surrogatepass") + payload
    return hmac.digest(_signing_key(settings.SECRET_KEY), message, "sha256")[:16]


@lru_cache(maxsize=4)
def _signing_key(secret: str) -> bytes:
    return sha256(b"coglex.paging" + secret.encode()).digest()


def after(sort: Sort, values: Sequence[object], *, arrays: bool = True) -> Condition:
    """The filter for what comes after the document with these sort values.

    ``sort`` ends with a unique field. All values must be ``expressible``. ``arrays`` off says that
    no sort field holds an array anywhere; the condition is then one that an index bounds.
    """
    branches: list[Condition] = []
    equal: list[Condition] = []
    for (field, direction), value in zip(sort, values, strict=True):
        before, later = _split(value, direction)
        same: Condition = {field: {"$eq": value}}
        is_array = arrays and field != "_id"  # a key is never an array
        if not is_array:
            later = [rank for rank in later if rank not in {_UNDEFINED, _ARRAY}]
        earlier = _beyond(field, -direction, value) + _types(field, before) if is_array else []
        not_here = [{"$nor": [same, *earlier]}] if is_array else []
        branches += [
            {"$and": [*equal, branch, *not_here]}
            for branch in _beyond(field, direction, value) + _types(field, later)
        ]
        # Keep out arrays that sort by another element than the one that matches.
        equal += [same, {"$nor": earlier}] if earlier else [same]
    return {"$or": branches}


def expressible(values: Sequence[object]) -> bool:
    """Whether ``after`` can put these sort values into a condition."""
    return all(value is None or _rank(value) is not None for value in values)


def _rank(value: object) -> int | None:
    if value is None:
        return _NULL
    return next((rank for kinds, rank in _RANKS if isinstance(value, kinds)), None)


def _types(field: str, ranks: Sequence[int]) -> list[Condition]:
    """Conditions for the values of these brackets; null stands for missing fields too."""
    conditions: list[Condition] = []
    names = [name for rank in ranks if rank > _NULL and rank != _ARRAY for name in _BRACKETS[rank]]
    if names:
        conditions.append({field: {"$type": names}})
    if _ARRAY in ranks:
        # An array counts by its elements; only one inside another counts as an array.
        conditions.append({field: {"$elemMatch": {"$type": "array"}}})
    if _NULL in ranks:
        conditions.append({field: None})
    if _UNDEFINED in ranks:
        conditions.append({field: {"$size": 0}})
    if 0 in ranks:
        conditions.append({field: {"$type": "minKey"}})
    return conditions


def _split(value: object, direction: int) -> tuple[list[int], list[int]]:
    """The brackets that come before the value's own, and those that come after it."""
    rank = _rank(value)
    assert rank is not None  # noqa: S101 - ``expressible`` was asked first
    below, above = list(range(rank)), list(range(rank + 1, len(_BRACKETS)))
    return (below, above) if direction > 0 else (above, below)


def _is_nan(value: object) -> bool:
    return value != value or (isinstance(value, Decimal128) and value.to_decimal().is_nan())  # noqa: PLR0124


def _beyond(field: str, direction: int, value: object) -> list[Condition]:
    """What comes after the value within its own bracket; NaN is the least of the numbers."""
    if value is None:
        return []
    if _is_nan(value):
        return [{field: {"$gte": float("-inf")}}] if direction > 0 else []
    beyond: list[Condition] = [{field: {"$gt" if direction > 0 else "$lt": value}}]
    if direction < 0 and _rank(value) == _NUMBER:
        beyond.append({field: float("nan")})
    return beyond

"""Extended JSON v2 that says every BSON type exactly, for export and import by operators.

As ``output`` writes it, but with the width of integers. Reading takes all types: it restores what
this or another MongoDB held, and is not for what clients send.
"""

from __future__ import annotations

from typing import Any

from bson import Int64
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from bson.json_util import JSONOptions, object_hook

from core.data.encoding import output
from core.data.encoding.parse import loads
from core.errors import InvalidDocument, InvalidJSON

_READING = JSONOptions(tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_AUTO)


def dumps_exact(document: object) -> bytes:
    """A value as decoded from BSON, on one line."""
    return output.dumps(document, wrapping=_wrap)


def _wrap(value: object) -> object:
    if type(value) is Int64:
        return {"$numberLong": str(value)}
    return output.wrap(value)


def loads_exact(line: bytes) -> Any:
    """The value that ``dumps_exact`` wrote; raises InvalidDocument."""
    try:
        value = loads(line)
        return _revived(value) if b'"$' in line or b"\\u0024" in line else value
    except InvalidJSON as error:
        raise InvalidDocument(error.detail) from None
    except (ValueError, TypeError, KeyError, OverflowError, ArithmeticError, BSONError) as error:
        raise InvalidDocument(f"This is not valid Extended JSON: {error}.") from None


def _revived(value: Any) -> Any:
    if isinstance(value, list):
        return [_revived(item) for item in value]
    if not isinstance(value, dict):
        return value
    revived = {name: _revived(item) for name, item in value.items()}
    return object_hook(revived, _READING) if next(iter(value), "").startswith("$") else revived

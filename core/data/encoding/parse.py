"""Strict JSON from clients: what cannot be kept exactly is refused, never rounded or dropped.

orjson parses; two things it lets pass are found afterwards at little cost, and what looks
suspicious is parsed again by the standard library, whose hooks see every key and number.
"""

from __future__ import annotations

import json
from typing import NoReturn

import orjson

from core.errors import InvalidJSON

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


# An integer beyond 64 bits arrives as the nearest float, or without its sign. Nineteen digits in a
# row are found ten times as fast as by a pattern where digits are nines and all else is blank.
_NINES = bytes(ord("9") if byte in b"0123456789" else ord(" ") for byte in range(256))
_LONG_NUMBER = b"9" * 19


def loads(raw: bytes) -> object:
    """Parse UTF-8 JSON into dicts, lists, str, int (64 bits), finite float, bool and None.

    Raises InvalidJSON for anything else: another encoding, a byte order mark, ``NaN``, an
    infinity, a lone surrogate, an integer beyond 64 bits, a key twice in one object, more than
    250 levels.
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(f"This is not valid JSON: {error}.") from None
    if _is_whole(value, raw) and _LONG_NUMBER not in raw.translate(_NINES):
        return value
    return _loads_exactly(raw)


def _is_whole(value: object, raw: bytes) -> bool:
    """Whether the text has as many colons as its value takes to write down.

    orjson keeps the last of two equal keys, so that the text had more colons than its value
    has: one for each key, and those inside strings (but for ``\\u003a``).
    """
    try:
        written = orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise InvalidJSON("The JSON is nested too deep.") from None
    return written.count(b":") == raw.count(b":") and b"\\u003" not in raw


def _loads_exactly(raw: bytes) -> object:
    try:
        return json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_constant=_refuse_constant,
        )
    except RecursionError:
        raise InvalidJSON("The JSON is nested too deep.") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidJSON(f"The key {key[:100]!r} stands twice in one object.")
            seen.add(key)
    return value


def _integer(digits: str) -> int:
    # The length is checked first: int() refuses very long strings with an error of its own.
    if len(digits) > 20 or not INT64_MIN <= (value := int(digits)) <= INT64_MAX:
        _refuse_integer()
    return value


def _refuse_integer() -> NoReturn:
    raise InvalidJSON("An integer does not fit into 64 bits.")


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidJSON(f"{name} is not JSON.")

"""What collections and keys may be called; paths, bodies, pipelines and scopes share it."""

from __future__ import annotations

import re
import unicodedata
import uuid

from bson import Binary, ObjectId
from bson.binary import UUID_SUBTYPE

from core.errors import InvalidCollection, InvalidKey

_collection = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}").fullmatch
_hex24 = re.compile(r"[0-9a-fA-F]{24}").fullmatch
_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_integer = re.compile(r"0|-?[1-9][0-9]{0,18}").fullmatch
MAX_KEY_LENGTH = 128


def check_collection(name: object, pointer: str | None = None) -> str:
    """``name``, when it is a collection's; else InvalidCollection, at ``pointer`` in the body."""
    if (
        not isinstance(name, str)
        or not _collection(name)
        or ".." in name
        or name.endswith(".")
        or name.lower().startswith("system.")
    ):
        detail = InvalidCollection.default_detail
        raise (
            InvalidCollection(detail) if pointer is None else InvalidCollection.at(pointer, detail)
        )
    return name


def is_key_text(text: str) -> bool:
    """Whether a string may be a key: 1 to 128 characters, no ``/``, no control characters."""
    return (
        0 < len(text) <= MAX_KEY_LENGTH
        and "/" not in text
        and ((text.isascii() and text.isprintable()) or _has_no_control(text))
    )


def _has_no_control(text: str) -> bool:
    return not any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def check_key(key: object, pointer: str = "/_id") -> object:
    """A decoded ``_id`` as it is stored; raises InvalidKey at ``pointer``."""
    if isinstance(key, str):
        allowed = is_key_text(key)
    elif isinstance(key, Binary):
        allowed = key.subtype == UUID_SUBTYPE
    else:
        allowed = isinstance(key, int | ObjectId) and not isinstance(key, bool)
    if not allowed:
        raise InvalidKey.at(pointer, InvalidKey.default_detail)
    return key


def keys_spelled(text: str) -> list[object]:
    """The keys that a path may mean by ``text``, the likeliest first.

    The string itself, then the ObjectId, UUID or integer of that spelling. Raises InvalidKey.
    """
    if not is_key_text(text):
        raise InvalidKey
    keys: list[object] = [text]
    if _hex24(text):
        keys.append(ObjectId(text))
    elif _uuid(text):
        keys.append(Binary(uuid.UUID(text).bytes, UUID_SUBTYPE))
    if _integer(text) and -(2**63) <= int(text) < 2**63:
        keys.append(int(text))
    return keys


def spell_key(key: object) -> str:
    """How a path spells a key."""
    if isinstance(key, Binary) and key.subtype == UUID_SUBTYPE and len(key) == 16:
        return str(uuid.UUID(bytes=bytes(key)))
    return str(key)

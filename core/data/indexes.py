"""The indexes that internal records need, declared where the records are and made at start.

``declare`` is called at import by the modules that own records, ``ensure_indexes`` by the
server's start and by `manage.py indexes ensure`, ``missing_indexes`` by `manage.py doctor`.
"""

from __future__ import annotations

from pymongo import IndexModel

from core.data.client import internal
from core.data.failures import translated

_declared: dict[str, list[IndexModel]] = {}


def declare(
    collection: str, *keys: tuple[str, int], unique: bool = False, expires: bool = False
) -> None:
    """Declare an index of an internal collection; ``expires`` deletes at the time in its field."""
    options: dict[str, object] = {"unique": True} if unique else {}
    if expires:
        options["expireAfterSeconds"] = 0
    _declared.setdefault(collection, []).append(IndexModel(list(keys), **options))


def ensure_indexes() -> list[str]:
    """Create what is declared and missing; returns ``collection.index`` of all declared."""
    names = []
    with translated():
        for collection, models in sorted(_declared.items()):
            names += [
                f"{collection}.{name}" for name in internal(collection).create_indexes(models)
            ]
    return names


def missing_indexes() -> list[str]:
    """``collection.index`` of what is declared and not there."""
    missing = []
    with translated():
        for collection, models in sorted(_declared.items()):
            there = internal(collection).index_information()
            names = [model.document["name"] for model in models]
            missing += [f"{collection}.{name}" for name in names if name not in there]
    return missing

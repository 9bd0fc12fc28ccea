"""Projections and sorts: names of fields and what is wanted of them, never expressions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from core.data.compiler.grammar import (
    check_bounds,
    escape,
    is_wrapper,
    one_of,
    take_path,
    take_paths,
)
from core.errors import InvalidQuery

MAX_SORT_FIELDS = 32
_direction = one_of(1, -1)
_wanted = one_of(0, 1, True, False)  # noqa: FBT003


def compile_projection(value: object) -> dict[str, int] | None:
    """The fields to return, from an object of 0 or 1 or a list of names; None means all.

    Raises InvalidQuery for expressions, for 0 and 1 mixed (but for ``_id``), and for paths that
    lie in each other.
    """
    check_bounds(value)
    if isinstance(value, list):
        value = dict.fromkeys(take_paths(value, ""), 1) if value else {}
    if not isinstance(value, dict) or is_wrapper(value):
        raise InvalidQuery.at("", "A projection is an object of 0 or 1, or a list of names.")
    chosen = {
        take_path(name, escape(name)): int(bool(_wanted(item, escape(name))))
        for name, item in value.items()
    }
    if len({item for name, item in chosen.items() if name != "_id"}) > 1:
        raise InvalidQuery.at("", "A projection names the fields it wants, or those it does not.")
    check_no_overlap(chosen)
    return chosen or None


def check_no_overlap(paths: Iterable[str]) -> None:
    """Raise InvalidQuery when one path lies in another, such as ``a`` and ``a.b``."""
    seen = sorted(paths, key=lambda path: path.split("."))
    for path, following in pairwise(seen):
        if following == path or following.startswith(f"{path}."):
            raise InvalidQuery.at(escape(following), f"This path lies in {path!r}, named as well.")


def compile_sort(value: object) -> list[tuple[str, int]]:
    """The order, from an object of 1 or -1, or from names with ``-`` for descending.

    Raises InvalidQuery for anything else, a field named twice, and more than 32 fields.
    """
    check_bounds(value)
    pairs = _split(value) if isinstance(value, str) else value
    if not isinstance(pairs, dict) or is_wrapper(pairs) or not 1 <= len(pairs) <= MAX_SORT_FIELDS:
        raise InvalidQuery.at(
            "",
            f"A sort is an object of 1 or -1, or names like -price,name; 1 to "
            f"{MAX_SORT_FIELDS} fields.",
        )
    return [
        (take_path(name, escape(name)), 1 if _direction(item, escape(name)) == 1 else -1)
        for name, item in pairs.items()
    ]


def _split(text: str) -> dict[str, object]:
    order: dict[str, object] = {}
    for part in text.split(","):
        word = part.strip()
        name = word[1:] if word[:1] in {"-", "+"} else word
        if name in order:
            raise InvalidQuery.at("", f"The sort names {name!r} twice.")
        order[take_path(name, "")] = -1 if word.startswith("-") else 1
    return order

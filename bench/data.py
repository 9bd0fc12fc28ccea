"""The documents that everything is measured on: 10,000 of 378 bytes, the same for every server."""

from __future__ import annotations

import random
from typing import Any

import bson

COUNT = 10_000
GROUPS = 100
SIZE = 378
# What one document holds besides its key and numbers.
_FILLING: dict[str, Any] = {"name": "x" * 40, "tags": ["a", "b", "c"], "text": "y" * 224}


def key(number: int) -> str:
    return f"k{number:05}"


def fields(number: int) -> dict[str, Any]:
    """A document without its key; prices differ within a group, in no order."""
    price = (number * 7919 % COUNT) / 4
    return {"n": number % COUNT, "group": number % GROUPS, "price": price, **_FILLING}


def document(number: int) -> dict[str, Any]:
    return {"_id": key(number), **fields(number)}


def documents() -> list[dict[str, Any]]:
    made = [document(number) for number in range(COUNT)]
    assert {len(bson.encode(each)) for each in made} == {SIZE}
    return made


def shuffled(count: int = COUNT) -> list[int]:
    """Numbers of documents in an order that is random and always the same."""
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)
    return numbers


def cheapest(group: int) -> list[str]:
    """The keys of the 20 cheapest of a group, which a filtered and sorted list has to hold."""
    found = sorted(range(group, COUNT, GROUPS), key=lambda number: fields(number)["price"])
    return [key(number) for number in found[:20]]

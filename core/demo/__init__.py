"""The demonstration: a small shop that `manage.py demo` loads, and takes away again.

Services register their parts of it. What a part made is in a ledger, an internal collection, so
that it is told from what others made: nothing is loaded over theirs, and none of it is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from core.data.records import Records
from core.errors import Conflict
from core.times import now

ledger = Records("demo")

Seen = Callable[[], None]


@dataclass(frozen=True)
class Holding:
    """Things under one name: how many the shop has of them, and how many of these are there.

    ``foreign`` are things of others, under a name that the shop would use.
    """

    name: str
    wanted: int
    there: int
    foreign: bool = False


class Part:
    """One service's part of the shop, over the functions that its API and admin call."""

    name: ClassVar[str]

    def left_out(self) -> str:
        """Why nothing of it can be loaded on this server; empty where it can."""
        return ""

    def survey(self) -> list[Holding]:
        """What there is."""
        raise NotImplementedError

    def load(self, *, by: str, seen: Seen) -> None:
        """Make what is missing; ``seen`` is called after each thing."""
        raise NotImplementedError

    def remove(self, *, by: str, seen: Seen) -> None:
        """Take away what ``load`` made, and its claims."""
        raise NotImplementedError

    def claim(self, thing: str, made: str | None = None) -> None:
        """Write into the ledger that we make this, or made it with this id."""
        record = {"part": self.name, "thing": thing, "made": made, "at": now()}
        ledger.update({"_id": f"{self.name}/{thing}"}, {"$set": record}, upsert=True)

    def claims(self) -> dict[str, str | None]:
        """What this part claims, with the ids."""
        return {each["thing"]: each["made"] for each in ledger.find({"part": self.name})}

    def release(self) -> None:
        """Claim nothing any more."""
        ledger.delete_all({"part": self.name})


_parts: dict[str, Part] = {}


def register(part: Part) -> None:
    """Add a service's part."""
    _parts[part.name] = part


def survey() -> Iterator[tuple[Part, list[Holding]]]:
    """Each part and what there is of it."""
    for part in _parts.values():
        yield part, part.survey()


def load(*, by: str, seen: Seen) -> None:
    """Make what is missing of each part; raises Conflict where a name is taken, and makes nothing.

    What breaks off goes on when it is called again.
    """
    taken = [each.name for _, found in survey() for each in found if each.foreign]
    if taken:
        named = " and ".join(taken)
        raise Conflict(f"What is in {named} was not made by the demo; nothing was loaded.")
    for part in _parts.values():
        if not part.left_out():
            part.load(by=by, seen=seen)


def remove(*, by: str, seen: Seen) -> None:
    """Take away what ``load`` made, the last part first."""
    for part in reversed(_parts.values()):
        part.remove(by=by, seen=seen)

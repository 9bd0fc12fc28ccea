"""Internal records: collections of the internal database, for core's and the services' modules.

Their callers write filters and updates in MongoDB's language but do not know the driver. Every
call joins the transaction that is under way, and raises the errors of ``core.data.failures``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import bson
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.collection import Collection

from core.data import indexes, pages
from core.data.client import CODEC, internal, session
from core.data.commands import find_one, insert_one, update_one
from core.data.monitoring import operation, selection
from core.data.pages import Listing, Query

Record = dict[str, Any]
Order = Sequence[tuple[str, int]]


class Records:
    """One internal collection."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def _collection(self) -> Collection[Record]:
        return internal(self.name)

    def declare(self, *keys: tuple[str, int], unique: bool = False, expires: bool = False) -> None:
        """Declare an index, made at start; ``expires`` deletes at the time in its field."""
        indexes.declare(self.name, *keys, unique=unique, expires=expires)

    def insert(self, record: Record) -> None:
        """Write a new record; raises DuplicateKey."""
        record.setdefault("_id", ObjectId())
        with operation("insert", self._collection):
            insert_one(self._collection, record)

    def insert_all(self, records: list[Record]) -> None:
        """Write new records, in any order."""
        with operation("insert", self._collection):
            self._collection.insert_many(records, ordered=False, session=session())

    def list_page(self, asked: Query, order: Order) -> Listing:
        """The page that a client asks for, in the order asked for, or else in ``order``."""
        return pages.list_page(self._collection, asked, order)

    def count_matching(self, query: object) -> int:
        """How many fit a client's filter."""
        return pages.count_matching(self._collection, query)

    def get(self, chosen: Record, fields: Record | None = None) -> Record | None:
        """One record that fits, or None."""
        with operation("find", self._collection, chosen):
            found = find_one(self._collection, chosen, fields)
            return None if found is None else bson.decode(found, CODEC)

    def by_object_id(self, text: str) -> Record | None:
        """The record whose id, of MongoDB's own kind, is spelled so; None where it spells none."""
        return self.get({"_id": ObjectId(text)}) if ObjectId.is_valid(text) else None

    def find(
        self,
        chosen: Record,
        fields: Record | None = None,
        *,
        order: Order = (("_id", 1),),
        limit: int = 0,
        skip: int = 0,
    ) -> list[Record]:
        """Records that fit, in order; all unless there is a limit."""
        with operation("find", self._collection, chosen, order):
            found = self._collection.find(chosen, fields, session=session())
            return list(found.sort(list(order)).skip(skip).limit(limit))

    def batches(
        self, chosen: Record | None = None, fields: Record | None = None, *, size: int = 500
    ) -> Iterator[list[Record]]:
        """All that fit, some at a time, in the order of their ids, which are strings."""
        last = ""
        while found := self.find({**(chosen or {}), "_id": {"$gt": last}}, fields, limit=size):
            yield found
            last = found[-1]["_id"]

    def update(self, chosen: Record, change: Record, *, upsert: bool = False) -> bool:
        """Change one record that fits; whether one did (or was made)."""
        update = {"q": chosen, "u": change, "upsert": upsert}
        with operation("update", self._collection, chosen):
            done = update_one(self._collection, update)
        return bool(done["n"])

    def update_all(self, chosen: Record, change: Record) -> int:
        """Change all that fit; how many did."""
        with operation("update", self._collection, chosen):
            return self._collection.update_many(chosen, change, session=session()).matched_count

    def take(
        self,
        chosen: Record,
        change: Record,
        *,
        fields: Record | None = None,
        order: Order | None = None,
        before: bool = False,
        upsert: bool = False,
    ) -> Record | None:
        """Change one record that fits and return it, as it is then or was ``before``."""
        with operation("findAndModify", self._collection, chosen):
            return self._collection.find_one_and_update(
                chosen,
                change,
                fields,
                sort=order,
                upsert=upsert,
                return_document=ReturnDocument.BEFORE if before else ReturnDocument.AFTER,
                session=session(),
            )

    def delete(self, chosen: Record) -> Record | None:
        """Delete one record that fits; returns it as it was."""
        with operation("findAndModify", self._collection, chosen):
            return self._collection.find_one_and_delete(chosen, session=session())

    def delete_all(self, chosen: Record) -> int:
        """Delete all that fit; how many."""
        with operation("delete", self._collection, chosen):
            return self._collection.delete_many(chosen, session=session()).deleted_count

    def aggregate(self, stages: list[Record]) -> list[Record]:
        """The results of a pipeline of our own making."""
        with operation("aggregate", self._collection, *selection(stages)):
            return list(self._collection.aggregate(stages, session=session()))

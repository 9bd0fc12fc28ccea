"""`manage.py collections`: what there is, how large it is, and away with it."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError

from core.commands import BY, Options, ServiceCommand
from storage import operations


def _line(found: dict[str, Any]) -> str:
    return (
        f"{found['name']:<32} {found['count']:>12,} documents {found['bytes']:>16,} bytes "
        f"{found['indexes']:>3} indexes"
    )


class Command(ServiceCommand):
    help = "List collections, tell their sizes, drop one."
    hint = "`manage.py collections list` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        add("list", "collections with their counts and sizes")
        add("stats", "one collection: sizes and indexes").add_argument("collection")
        drop = add("drop", "drop a collection with all its documents", dry_run=True)
        drop.add_argument("collection")
        drop.add_argument("--yes", action="store_true", help="do not ask")

    def _list(self, options: Options) -> None:
        found = operations.list_collections()
        self.say(options, found, *map(_line, found))

    def _stats(self, options: Options) -> None:
        found = operations.describe(collection=options["collection"])
        indexes = [
            f"  {each['name']}: {each['bytes']:,} bytes, used {each['uses']:,} times"
            for each in found["index_list"]
        ]
        facts = [f"{name}: {value}" for name, value in found.items() if name != "index_list"]
        self.say(options, found, *facts, "index_list:", *indexes)

    def _drop(self, options: Options) -> None:
        found = operations.describe(collection=options["collection"])
        if options["dry_run"]:
            self.say(options, {"would_drop": found["name"]}, f"Would drop {_line(found)}")
            return
        if not options["yes"]:
            self._ask(found)
        count = operations.drop_collection(collection=found["name"], by=BY)
        self.say(
            options,
            {"dropped": found["name"], "documents": count},
            f"Dropped {found['name']} with {count:,} documents.",
        )

    def _ask(self, found: dict[str, Any]) -> None:
        try:
            typed = input(f"{_line(found)}\nType its name to drop it: ")
        except EOFError:
            typed = ""
        if typed.strip() != found["name"]:
            raise CommandError("Nothing was dropped: type the name, or say --yes.")

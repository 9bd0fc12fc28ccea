"""`manage.py indexes`: the indexes of clients' collections, and those of internal records."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from core.commands import BY, Options, ServiceCommand, json_option
from core.data.indexes import ensure_indexes
from storage import operations


def _line(index: dict[str, Any]) -> str:
    keys = " ".join(operations.spell_keys(index["keys"]))
    options = "".join(f"  {name}={value}" for name, value in index["options"].items())
    use = f"{index['bytes']:,} bytes, used {index['uses']:,} times"
    return f"{index['name']}  ({keys})  {use}{options}"


class Command(ServiceCommand):
    help = "List, create, drop and suggest indexes of collections."
    hint = "`manage.py collections list` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        add("ensure", "create what internal records need and lack; the server does too")
        add("list", "a collection's indexes, with size and use").add_argument("collection")
        create = add("create", "create an index", dry_run=True)
        create.add_argument("collection")
        create.add_argument(
            "keys", nargs="+", help="a field; field: descending with -field after --, or field:kind"
        )
        create.add_argument("--unique", action="store_true")
        create.add_argument("--sparse", action="store_true")
        create.add_argument("--expire-after", type=int, metavar="SECONDS")
        create.add_argument("--partial", type=json_option, metavar="FILTER")
        drop = add("drop", "drop an index", dry_run=True)
        drop.add_argument("collection")
        drop.add_argument("name")
        suggest = add("suggest", "what would have made slow operations fast")
        suggest.add_argument("collection", nargs="?")

    def _ensure(self, options: Options) -> None:
        names = ensure_indexes()
        self.say(options, names, *names)

    def _list(self, options: Options) -> None:
        found = operations.list_indexes(collection=options["collection"])
        self.say(options, found, *map(_line, found))

    def _create(self, options: Options) -> None:
        collection, keys = options["collection"], operations.parse_keys(options["keys"])
        operations.check_index(keys)
        asked = {"collection": collection, "keys": keys}
        if options["dry_run"]:
            said = f"Would create an index of {collection} by {' '.join(options['keys'])}."
            self.say(options, {**asked, "dry_run": True}, said)
            return
        name = operations.create_index(
            **asked,
            by=BY,
            unique=options["unique"],
            sparse=options["sparse"],
            expire_after=options["expire_after"],
            partial=options["partial"],
        )
        self.say(options, {**asked, "name": name}, f"Created {name}.")

    def _drop(self, options: Options) -> None:
        collection, name = options["collection"], options["name"]
        if options["dry_run"]:
            there = [each["name"] for each in operations.list_indexes(collection=collection)]
            found = name in there
            said = f"Would drop {name}." if found else f"There is no {name} to drop."
            self.say(options, {"would_drop": name if found else None}, said)
            return
        operations.drop_index(collection=collection, name=name, by=BY)
        self.say(options, {"dropped": name}, f"Dropped {name}.")

    def _suggest(self, options: Options) -> None:
        found = operations.suggest_indexes(collection=options["collection"])
        lines = [
            f"manage.py indexes create {each['collection']} -- {' '.join(each['keys'])}"
            f"   # {each['operations']:,} operations, {each['milliseconds']:,} ms"
            for each in found
        ]
        self.say(options, found, *(lines or ["Nothing that was slow lacks an index."]))

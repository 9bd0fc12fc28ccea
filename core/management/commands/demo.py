"""`manage.py demo`: a small shop to look at and to try things on, and away with it."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from core import demo
from core.commands import BY, Options, ServiceCommand

Found = list[dict[str, Any]]


def _found() -> Found:
    """What there is, name by name."""
    return [
        {
            "part": part.name,
            "name": each.name,
            "wanted": each.wanted,
            "there": each.there,
            "left_out": part.left_out(),
        }
        for part, holdings in demo.survey()
        for each in holdings
    ]


def _line(found: dict[str, Any]) -> str:
    said = f"{found['name']:<16} {found['there']:>4} of {found['wanted']}"
    missing = found["left_out"] and found["there"] < found["wanted"]
    return f"{said}, left out: {found['left_out']}" if missing else said


class Command(ServiceCommand):
    help = "Load a small shop: users, documents, files and, with the stand-in, subscriptions."
    hint = "`manage.py demo status` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        add("load", "make what is missing of the shop")
        add("status", "what there is of it")
        add("remove", "take away what was loaded, and nothing else", dry_run=True)

    def _status(self, options: Options) -> None:
        found = _found()
        self.say(options, found, *map(_line, found))

    def _load(self, options: Options) -> None:
        before = _found()
        missing = sum(each["wanted"] - each["there"] for each in before)
        with self._counted("loading", missing) as seen:
            demo.load(by=BY, seen=seen)
        after = _found()
        made = [
            {**now, "made": now["there"] - was["there"]}
            for was, now in zip(before, after, strict=True)
        ]
        total = sum(each["made"] for each in made)
        told = f"Loaded {total} things." if total else "Everything was there; nothing was changed."
        self.say(options, made, *map(_line, after), told)

    def _remove(self, options: Options) -> None:
        before, dry = _found(), options["dry_run"]
        there = sum(each["there"] for each in before)
        if not dry:
            with self._counted("removing", there) as seen:
                demo.remove(by=BY, seen=seen)
        after = [{**each, "there": 0} for each in before] if dry else _found()
        named, verb = ("would_remove", "Would remove") if dry else ("removed", "Removed")
        gone = [
            {"part": was["part"], "name": was["name"], named: was["there"] - now["there"]}
            for was, now in zip(before, after, strict=True)
        ]
        self.say(options, gone, *(f"{verb} {each[named]} of {each['name']}." for each in gone))

    @contextmanager
    def _counted(self, what: str, total: int) -> Iterator[demo.Seen]:
        """Progress that counts the things that are seen."""
        progress, numbers = self.progress(what, total), count(1)
        try:
            yield lambda: progress(next(numbers))
        finally:
            progress.end()

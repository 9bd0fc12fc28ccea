"""`manage.py import`: what `manage.py export` wrote, or any NDJSON, into collections."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from core.commands import BY, DomainCommand, Options
from storage import transfers


class Command(DomainCommand):
    help = "Insert the documents of a file, of all files in a directory, or of the standard input."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="a file, a directory, or -")
        parser.add_argument("--collection", help="the file's name unless given")
        parser.add_argument(
            "--on-conflict",
            choices=("fail", "skip", "replace"),
            default="fail",
            help="where another document has the key; equal ones are never a conflict",
        )
        parser.add_argument("--resume", action="store_true", help="go on where it broke off")
        parser.add_argument("--no-indexes", action="store_true", help="make no indexes")
        parser.add_argument("--json", action="store_true", help="write JSON")

    def run(self, options: Options) -> None:
        source = Path(options["source"])
        if options["source"] == "-":
            done = {self._named(options): self._from_stdin(options)}
        elif source.is_dir():
            if options["collection"]:
                raise CommandError("--collection is for one file.")
            done = {
                name: self._file(path, name, options) for name, path in transfers.files_in(source)
            }
        else:
            name = options["collection"] or transfers.name_of(source)
            done = {name: self._file(source, name, options)}
        found = [{"collection": name, **asdict(counts)} for name, counts in done.items()]
        self.say(options, found, *(_line(name, counts) for name, counts in done.items()))

    def _file(self, path: Path, name: str, options: Options) -> transfers.Imported:
        progress = self.progress(name)
        try:
            return transfers.import_file(
                path,
                collection=name,
                by=BY,
                on_conflict=options["on_conflict"],
                resume=options["resume"],
                indexes=not options["no_indexes"],
                seen=progress,
            )
        finally:
            progress.end()

    def _from_stdin(self, options: Options) -> transfers.Imported:
        return transfers.import_from(
            sys.stdin.buffer,
            collection=self._named(options),
            by=BY,
            on_conflict=options["on_conflict"],
        )

    def _named(self, options: Options) -> str:
        if not options["collection"]:
            raise CommandError("Say --collection for what comes from the standard input.")
        name: str = options["collection"]
        return name


def _line(name: str, counts: transfers.Imported) -> str:
    told = [f"{count:,} {what.replace('_', ' ')}" for what, count in asdict(counts).items()]
    return f"{name}: {', '.join(told)}"

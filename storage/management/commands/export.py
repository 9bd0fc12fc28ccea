"""`manage.py export`: collections into files, a document a line."""

from __future__ import annotations

import sys
from pathlib import Path

from django.core.management.base import CommandError, CommandParser

from core.commands import BY, DomainCommand, Options, json_option
from storage import operations, transfers


class Command(DomainCommand):
    help = (
        "Write a collection, or all, as NDJSON of Extended JSON. "
        "Users, files and payments are not in it: back up MongoDB for these."
    )
    hint = "`manage.py collections list` shows what there is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("collection", nargs="?", help="all collections unless given")
        parser.add_argument(
            "--output",
            "-o",
            help="a file (.ndjson, .ndjson.gz) or - for one collection, else a directory",
        )
        parser.add_argument("--query", type=json_option, help="a filter, as JSON")
        parser.add_argument("--gzip", action="store_true", help="compress the files in a directory")
        parser.add_argument("--resume", action="store_true", help="go on where it broke off")
        parser.add_argument("--overwrite", action="store_true")
        parser.add_argument("--json", action="store_true", help="write JSON")

    def run(self, options: Options) -> None:
        if options["output"] == "-":
            self._to_stdout(options)
            return
        try:
            chosen = self._chosen(options)
            done = {name: self._export(name, path, options) for name, path in chosen}
        except OSError as error:
            raise CommandError(
                f"Cannot write {error.filename}: {error.strerror}. Choose another place, and "
                "--resume where it broke off."
            ) from None
        files = {name: str(path) for name, path in chosen}
        lines = [f"{count:,} documents of {name} in {files[name]}" for name, count in done.items()]
        found = [
            {"collection": name, "documents": count, "file": files[name]}
            for name, count in done.items()
        ]
        self.say(options, found, *lines)

    def _chosen(self, options: Options) -> list[tuple[str, Path]]:
        """The collections and their files."""
        suffix = transfers.SUFFIXES[options["gzip"]]
        if name := options["collection"]:
            operations.list_indexes(collection=name)
            path = Path(options["output"] or f"{name}{suffix}")
            return [(name, path / f"{name}{suffix}" if path.is_dir() else path)]
        directory = Path(options["output"] or "export")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = [found["name"] for found in operations.list_collections()]
        return [(name, directory / f"{name}{suffix}") for name in names]

    def _export(self, name: str, path: Path, options: Options) -> int:
        if not path.name.endswith(transfers.SUFFIXES):
            raise CommandError(f"{path} must end in .ndjson or .ndjson.gz.")
        if options["resume"] and path.exists() and not options["overwrite"]:
            self.stderr.write(f"{path} is complete.")
            return 0
        total = operations.describe(collection=name)["count"]
        progress = self.progress(name, total)
        try:
            return transfers.export_file(
                path,
                collection=name,
                query=options["query"],
                by=BY,
                resume=options["resume"],
                overwrite=options["overwrite"],
                seen=progress,
            )
        finally:
            progress.end()

    def _to_stdout(self, options: Options) -> None:
        if not options["collection"]:
            raise CommandError("Say which collection goes to the standard output.")
        transfers.export_to(
            sys.stdout.buffer,
            collection=options["collection"],
            query=options["query"],
            by=BY,
        )
        sys.stdout.buffer.flush()

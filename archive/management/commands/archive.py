"""`manage.py archive`: what operators do with files, and what keeps the store whole."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable

from django.core.management.base import CommandError

from archive import operations, services
from core.commands import Options, ServiceCommand, json_option
from core.data.encoding import dumps
from core.data.records import Record

BY = "cli"


def _line(record: Record) -> str:
    return (
        f"{record['_id']}  {record['security_status']:<9} {record['size']:>12}  "
        f"{record['filename']}"
    )


class Command(ServiceCommand):
    help = "List, show, delete, verify and rescan files; sweep up what crashes left."
    hint = "`manage.py archive list` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        listing = add("list", "files, the newest first")
        listing.add_argument("--limit", type=int, default=100)
        listing.add_argument("--skip", type=int, default=0)
        verify = add("verify", "hash files again; fails when one is damaged or missing")
        rescan = add("rescan", "scan files again")
        for command in (listing, verify, rescan):
            command.add_argument("--query", type=json_option, help="a filter, as JSON")
        add("show", "a file's record and access log").add_argument("file_id")
        add("delete", "delete a file", dry_run=True).add_argument("file_id")
        sweep = add("sweep", "remove what crashes left; report records without bytes", dry_run=True)
        sweep.add_argument(
            "--min-age",
            type=int,
            help="leave alone what is younger than so many seconds "
            "(an hour where other machines use the store, else 0)",
        )

    def _list(self, options: Options) -> None:
        found = operations.find_files(
            query=options["query"], limit=options["limit"], skip=options["skip"]
        )
        self.say(options, found, *map(_line, found))

    def _show(self, options: Options) -> None:
        found = operations.describe(file_id=options["file_id"])
        self.say(options, found, dumps(found).decode())

    def _delete(self, options: Options) -> None:
        if options["dry_run"]:
            found = services.get_file(file_id=options["file_id"])
            self.say(options, {"would_delete": found}, f"Would delete {_line(found)}")
            return
        gone = services.delete_file(file_id=options["file_id"], principal=BY)
        self.say(options, {"deleted": gone}, f"Deleted {_line(gone)}")

    def _sweep(self, options: Options) -> None:
        dry = options["dry_run"]
        found = operations.sweep(dry_run=dry, by=BY, min_age=options["min_age"])
        verb = "Would remove" if dry else "Removed"
        self.say(
            options,
            found,
            f"{verb} {len(found['drafts'])} uploads that broke off and "
            f"{len(found['orphans'])} files without a record.",
            *(
                f"{file_id}: the record is there, the bytes are gone"
                for file_id in found["missing"]
            ),
        )

    def _verify(self, options: Options) -> None:
        counts = {"ok": 0, "damaged": 0, "missing": 0}
        bad = []
        for record, verdict in operations.verify(query=options["query"]):
            counts[verdict] += 1
            if verdict != "ok":
                bad.append({"_id": record["_id"], "verdict": verdict})
        lines = [f"{each['_id']}: {each['verdict']}" for each in bad]
        self.say(options, {**counts, "files": bad}, *lines, f"{counts['ok']} files are whole.")
        if bad:
            raise CommandError(f"{len(bad)} files are not: restore them from a backup.")

    def _rescan(self, options: Options) -> None:
        found = [
            {"_id": record["_id"], "filename": record["filename"], "security_status": status}
            for record, status in operations.rescan_all(query=options["query"], by=BY)
        ]
        lines = [
            f"{each['_id']}  {each['security_status']:<9} {each['filename']}" for each in found
        ]
        self.say(options, found, *lines, f"Scanned {len(found)} files.")

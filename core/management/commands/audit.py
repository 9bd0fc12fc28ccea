"""`manage.py audit`: who did what."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from core import audit, auditexport
from core.commands import Options, ServiceCommand, time_option

_WANTED = ("action", "principal", "target", "outcome", "since", "until")


def _line(entry: dict[str, Any]) -> str:
    shown = audit.plain(entry)
    named = ("at", "action", "outcome", "principal", "target")
    return "  ".join(str(shown[name]) for name in named)


class Command(ServiceCommand):
    help = "List and export the audit."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        listing = add("list", "entries, the newest first")
        listing.add_argument("--limit", type=int, default=50)
        export = add("export", "all that fit, as NDJSON or CSV")
        export.add_argument("--output", "-o", default="-", help="a file, or - (the default)")
        export.add_argument("--format", choices=list(auditexport.FORMS), default="ndjson")
        for command in (listing, export):
            command.add_argument("--action", help="auth.signin; or storage. for all of a family")
            command.add_argument("--principal", help="admin:ada, key:<prefix>, cli")
            command.add_argument("--target")
            command.add_argument("--outcome", help="success, failure")
            command.add_argument("--since", type=time_option, help="2026-01-31, or with a time")
            command.add_argument("--until", type=time_option)

    def _list(self, options: Options) -> None:
        wanted = {name: options[name] for name in _WANTED}
        found = audit.find(**wanted, limit=max(1, options["limit"]))
        self.say(options, list(map(audit.plain, found)), *map(_line, found))

    def _export(self, options: Options) -> None:
        wanted = {name: options[name] for name in _WANTED}
        lines = auditexport.written(options["format"], audit.walk(**wanted))
        if options["output"] == "-":
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
            return
        try:
            with Path(options["output"]).open("wb") as file:
                count = sum(1 for line in lines if file.write(line))
        except OSError as error:
            raise CommandError(f"Cannot write {options['output']}: {error.strerror}.") from None
        self.say(options, {"lines": count}, f"Wrote {count:,} lines to {options['output']}.")

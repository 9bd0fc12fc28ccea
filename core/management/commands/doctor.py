"""`manage.py doctor`: what is wrong with this server, and what to do."""

from __future__ import annotations

from dataclasses import asdict

from django.core.management.base import CommandError, CommandParser

from core import diagnosis
from core.commands import DomainCommand, Options


class Command(DomainCommand):
    help = (
        "Examine settings, MongoDB, indexes, Django's database, the cache, the disk, the scanner "
        "and Stripe. Fails where something is broken, with --strict also at a warning."
    )
    # They are part of what is examined.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="write JSON")
        parser.add_argument("--strict", action="store_true", help="fail at warnings too")

    def run(self, options: Options) -> None:
        found = []
        for part, here in diagnosis.diagnose():
            found += here
            if not options["json"]:
                self._tell(part, here)
        if options["json"]:
            self.say(options, [asdict(finding) for finding in found])
        bad = [each for each in found if options["strict"] or each.level == "error"]
        if bad:
            raise CommandError(f"{len(bad)} things to mend.")

    def _tell(self, part: str, found: list[diagnosis.Finding]) -> None:
        if not found:
            self.stdout.write(f"ok       {part}")
        for finding in found:
            self.stdout.write(f"{finding.level:<8} {part}: {finding.detail}")
            self.stdout.write(f"         → {finding.remedy}")

"""`manage.py indexes ensure`: create the indexes that internal records need."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.data.embedded import EmbeddedError
from core.data.indexes import ensure_indexes
from core.errors import CoglexError


class Command(BaseCommand):
    help = "Create the indexes that internal records need, where they are missing."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        ensure = commands.add_parser("ensure", help="create what is missing; the server does too")
        ensure.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            names = ensure_indexes()
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
        except CoglexError as error:
            raise CommandError(f"{error.detail} Is MONGODB_URI right?") from None
        self.stdout.write(json.dumps(names, indent=2) if options["json"] else "\n".join(names))

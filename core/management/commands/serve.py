"""`manage.py serve`: the production server; `make run` calls it with --setup."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from core import serving
from core.data.embedded import EmbeddedError
from core.errors import CoglexError
from core.supervisor import interrupt_once, was_interrupted


class Command(BaseCommand):
    help = "Serve the API, with the embedded MongoDB unless MONGODB_URI is set."
    # Made by ``handle``, once the address is known to be ours: a start that fails says one thing.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--setup",
            action="store_true",
            help="first bring Django's tables up to date and make the first operator",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        interrupt_once()
        try:
            self._serve(setup=options["setup"])
        except KeyboardInterrupt:
            pass
        except Exception:
            # In the middle of a transaction an interrupt can become an error of the database.
            if not was_interrupted():
                raise

    def _serve(self, *, setup: bool) -> None:
        try:
            serving.check_port(settings.HOST, settings.PORT)
            self.check()
            with serving.database(self._say):
                if setup:
                    serving.set_up(self._say)
                else:
                    serving.require_tables()
                serving.run()
        except (serving.CannotServe, EmbeddedError) as error:
            raise CommandError(str(error)) from None
        except OperationalError as error:
            raise CommandError(f"Django's database does not work: {error}.") from None
        except CoglexError as error:
            raise CommandError(f"MongoDB does not work: {error.detail}") from None

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

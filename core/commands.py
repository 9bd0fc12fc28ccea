"""What every command of ours with sub-commands builds on.

A sub-command ``end-sessions`` is the method ``_end_sessions(options)``; what the domain raises
comes out as one sentence and exit status 1.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error as SQLError

from core.data.embedded import EmbeddedError
from core.data.encoding import dumps, loads
from core.errors import CoglexError, DatabaseUnavailable, InvalidInput, InvalidJSON
from core.times import parse_time

Options = dict[str, Any]
BY = "cli"


class DomainCommand(BaseCommand):
    """A command that calls the domain: ``run`` does its work."""

    # What to say after an error of the domain: the way out.
    hint: ClassVar[str] = ""

    def run(self, options: Options) -> None:
        """Do what was asked for."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        """Run, and say what goes wrong in one sentence."""
        try:
            self.run(options)
        except EmbeddedError as error:
            raise CommandError(str(error)) from None
        except DatabaseUnavailable as error:
            raise CommandError(f"{error.detail} Is MONGODB_URI right?") from None
        except CoglexError as error:
            raise CommandError(f"{error.detail} {self.hint}".strip()) from None
        except SQLError as error:
            told = str(error).partition("\n")[0].rstrip(".")
            raise CommandError(
                f"Django's database does not work: {told}. Is DATABASE_URL right, and has "
                "`manage.py migrate` been run?"
            ) from None

    def say(self, options: Options, value: object, *lines: str) -> None:
        """Write ``value`` as JSON where that was asked for, else the lines."""
        if options["json"]:
            self.stdout.write(dumps(value).decode())
            return
        for line in lines:
            self.stdout.write(line)

    def progress(self, what: str, total: int = 0) -> Progress:
        """A line on a terminal that tells how far long work is; nothing where there is none."""
        return Progress(self.stderr, what, total)


class Progress:
    """How far long work is: ``what 12,000 of 40,000 (30 %)``, written twice a second."""

    def __init__(self, stream: Any, what: str, total: int) -> None:
        self._stream, self._what, self._total = stream, what, total
        self._shown = stream.isatty()
        self._last = 0.0

    def __call__(self, done: int) -> None:
        now = monotonic()
        if self._shown and now - self._last >= 0.5:
            self._last = now
            of = f" of {self._total:,} ({done / self._total:.0%})" if self._total else ""
            self._stream.write(f"\r{self._what} {done:,}{of}\x1b[K", ending="")
            self._stream.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._shown and self._last:
            self._stream.write("\r\x1b[K", ending="")


class ServiceCommand(DomainCommand):
    """A command whose sub-commands are declared by ``declare`` and are methods of their own."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Django's hook: every sub-command takes --json."""
        commands = parser.add_subparsers(dest="command", required=True)

        def add(name: str, help_: str, *, dry_run: bool = False) -> ArgumentParser:
            made: ArgumentParser = commands.add_parser(name, help=help_)
            made.add_argument("--json", action="store_true", help="write JSON")
            if dry_run:
                made.add_argument(
                    "--dry-run", action="store_true", help="say what would be done, do nothing"
                )
            return made

        self.declare(add)

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        """Declare the sub-commands: ``add(name, help, dry_run=…)`` returns each one's parser."""
        raise NotImplementedError

    def run(self, options: Options) -> None:
        """Run the sub-command that was named."""
        run: Callable[[Options], None] = getattr(self, "_" + options["command"].replace("-", "_"))
        run(options)


def json_option(text: str) -> object:
    """An option that holds JSON."""
    try:
        return loads(text.encode())
    except InvalidJSON as error:
        raise CommandError(error.detail) from None


def time_option(text: str) -> datetime:
    """An option that holds a time."""
    try:
        return parse_time(text)
    except InvalidInput as error:
        raise CommandError(error.detail) from None

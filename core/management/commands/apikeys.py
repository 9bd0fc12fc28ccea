"""`manage.py apikeys`: make, list, revoke and rotate API keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from core import apikeys
from core.errors import CoglexError
from core.models import APIKey

_duration = re.compile(r"(\d{1,6})([smhd])").fullmatch
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """``90d``, ``12h``, ``30m`` or ``10s``."""
    match = _duration(text)
    if match is None:
        raise CommandError(f"{text!r} is no duration: write 90d, 12h, 30m or 10s.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def describe(record: APIKey) -> dict[str, Any]:
    """A key's record as the command and its JSON show it; never the key."""
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    found = {name: getattr(record, name) for name in times}
    return {
        "prefix": record.prefix,
        "name": record.name,
        "scopes": record.scopes,
        "state": record.state,
        **{name: time.isoformat() if time else None for name, time in found.items()},
    }


class Command(BaseCommand):
    help = "Make, list, revoke and rotate API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True)
        create = commands.add_parser("create", help="make a key; it is shown once")
        create.add_argument("name")
        create.add_argument(
            "--scope",
            action="append",
            required=True,
            help="<service>[/<collection>]:<read|write|*>, or *; may be repeated",
        )
        create.add_argument("--expires-in", type=duration, help="such as 90d or 12h")
        listing = commands.add_parser("list", help="list the keys")
        revoke = commands.add_parser("revoke", help="end a key, everywhere within 5 s")
        revoke.add_argument("prefix")
        rotate = commands.add_parser("rotate", help="make a successor and end the old key")
        rotate.add_argument("prefix")
        rotate.add_argument(
            "--grace", type=duration, default=timedelta(0), help="how long the old key still works"
        )
        for command in (revoke, rotate):
            command.add_argument("--dry-run", action="store_true", help="say what would be done")
        for command in (create, listing, revoke, rotate):
            command.add_argument("--json", action="store_true", help="write JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        run: Callable[[dict[str, Any]], None] = getattr(self, f"_{options['command']}")
        try:
            run(options)
        except CoglexError as error:
            raise CommandError(
                f"{error.detail} `manage.py apikeys list` shows what there is."
            ) from None

    def _create(self, options: dict[str, Any]) -> None:
        lasts = options["expires_in"]
        record, key = apikeys.create_key(
            name=options["name"],
            scopes=options["scope"],
            expires_at=timezone.now() + lasts if lasts else None,
        )
        self._show_key(record, key, options)

    def _list(self, options: dict[str, Any]) -> None:
        found = [describe(record) for record in apikeys.list_keys()]
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2))
            return
        for key in found:
            scopes = " ".join(key["scopes"])
            used = key["last_used_at"] or "never"
            self.stdout.write(
                f"{key['prefix']}  {key['state']:<8} {key['name']}  {scopes}  last used {used}"
            )

    def _revoke(self, options: dict[str, Any]) -> None:
        record = apikeys.get_key(options["prefix"])
        if not options["dry_run"]:
            record = apikeys.revoke_key(record.prefix)
        self._done("revoke", record, options)

    def _rotate(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            self._done("rotate", apikeys.get_key(options["prefix"]), options)
            return
        record, key = apikeys.rotate_key(options["prefix"], grace=options["grace"])
        self._show_key(record, key, options)

    def _show_key(self, record: APIKey, key: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self.stdout.write(json.dumps({**describe(record), "key": key}, indent=2))
            return
        self.stdout.write(f"{key}\n\nThis key is shown only now. Its prefix is {record.prefix}.")

    def _done(self, action: str, record: APIKey, options: dict[str, Any]) -> None:
        if options["json"]:
            shown = {**describe(record), "dry_run": options["dry_run"]}
            self.stdout.write(json.dumps(shown, indent=2))
        elif options["dry_run"]:
            self.stdout.write(f"Would {action} {record}.")
        else:
            self.stdout.write(f"Revoked {record}.")

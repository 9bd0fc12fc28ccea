"""`manage.py apikeys`: make, list, revoke and rotate API keys."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from core import apikeys
from core.commands import Options, ServiceCommand
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


class Command(ServiceCommand):
    help = "Make, list, revoke and rotate API keys."
    hint = "`manage.py apikeys list` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        create = add("create", "make a key; it is shown once")
        create.add_argument("name")
        create.add_argument(
            "--scope",
            action="append",
            required=True,
            help="<service>[/<collection>]:<read|write|*>, or *; may be repeated",
        )
        create.add_argument("--expires-in", type=duration, help="such as 90d or 12h")
        add("list", "list the keys")
        add("revoke", "end a key, everywhere within 5 s", dry_run=True).add_argument("prefix")
        rotate = add("rotate", "make a successor and end the old key", dry_run=True)
        rotate.add_argument("prefix")
        rotate.add_argument(
            "--grace", type=duration, default=timedelta(0), help="how long the old key still works"
        )

    def _create(self, options: Options) -> None:
        lasts = options["expires_in"]
        record, key = apikeys.create_key(
            name=options["name"],
            scopes=options["scope"],
            expires_at=timezone.now() + lasts if lasts else None,
        )
        self._show_key(record, key, options)

    def _list(self, options: Options) -> None:
        found = [describe(record) for record in apikeys.list_keys()]
        lines = [
            f"{key['prefix']}  {key['state']:<8} {key['name']}  {' '.join(key['scopes'])}  "
            f"last used {key['last_used_at'] or 'never'}"
            for key in found
        ]
        self.say(options, found, *lines)

    def _revoke(self, options: Options) -> None:
        record = apikeys.get_key(options["prefix"])
        if not options["dry_run"]:
            record = apikeys.revoke_key(record.prefix)
        self._done("revoke", record, options)

    def _rotate(self, options: Options) -> None:
        if options["dry_run"]:
            self._done("rotate", apikeys.get_key(options["prefix"]), options)
            return
        record, key = apikeys.rotate_key(options["prefix"], grace=options["grace"])
        self._show_key(record, key, options)

    def _show_key(self, record: APIKey, key: str, options: Options) -> None:
        shown = f"{key}\n\nThis key is shown only now. Its prefix is {record.prefix}."
        self.say(options, {**describe(record), "key": key}, shown)

    def _done(self, action: str, record: APIKey, options: Options) -> None:
        shown = {**describe(record), "dry_run": options["dry_run"]}
        said = f"Would {action} {record}." if options["dry_run"] else f"Revoked {record}."
        self.say(options, shown, said)

"""`manage.py payments`: Stripe's events, the mirror, and who has which subscription."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable

from django.core.management.base import CommandError

from core.commands import Options, ServiceCommand
from core.data.encoding import dumps
from core.data.records import Record
from core.times import rfc3339
from payments import events, operations, services

BY = "cli"


def _line(record: Record) -> str:
    reason = f"  {record['reason']}" if record["reason"] else ""
    at = rfc3339(record["received_at"])
    return f"{record['_id']}  {at}  {record['state']:<10} {record['type']}{reason}"


class Command(ServiceCommand):
    help = "List, show and retry Stripe's events; repair the mirror; look up subscriptions."
    hint = "`manage.py payments events` shows what there is."

    def declare(self, add: Callable[..., ArgumentParser]) -> None:
        listing = add("events", "Stripe's events, the newest first")
        listing.add_argument("--state", choices=["received", "processing", "processed", "failed"])
        listing.add_argument("--type", help="such as invoice.paid")
        listing.add_argument("--limit", type=int, default=100)
        add("show", "an event, with personal data masked").add_argument("event_id")
        retry = add("retry", "process failed events now; fails when one fails again", dry_run=True)
        retry.add_argument("event_id", nargs="?", help="one event; all failed ones without it")
        add("reconcile", "repair the mirror from Stripe", dry_run=True)
        status = add("status", "somebody's subscriptions")
        status.add_argument("field", choices=["email", "customer", "subscription"])
        status.add_argument("value")
        status.add_argument("--refresh", action="store_true", help="ask Stripe")

    def _events(self, options: Options) -> None:
        found = operations.list_events(
            state=options["state"], type_=options["type"], limit=options["limit"]
        )
        self.say(options, found, *map(_line, found))

    def _show(self, options: Options) -> None:
        record, payload = operations.describe_event(options["event_id"])
        said = {**record, "raw": None, "payload": payload}
        self.say(options, said, dumps(said).decode())

    def _retry(self, options: Options) -> None:
        one = options["event_id"]
        if options["dry_run"]:
            waiting = [one] if one else [each["_id"] for each in self._failed()]
            self.say(options, {"would_retry": waiting}, f"Would retry {len(waiting)} events.")
            return
        done = [(one, events.retry(event_id=one, by=BY))] if one else operations.retry_failed(by=BY)
        results = dict(done)
        good = sum(results.values())
        lines = [
            f"{event_id}  {'processed' if ok else 'failed'}" for event_id, ok in results.items()
        ]
        self.say(options, results, *lines, f"Processed {good} of {len(results)} events.")
        if good < len(results):
            raise CommandError("Some failed again: `manage.py payments events --state failed`.")

    def _failed(self) -> list[Record]:
        return operations.list_events(state="failed", limit=1000)

    def _reconcile(self, options: Options) -> None:
        shows = sys.stderr.isatty() and not options["json"]

        def seen(kind: str, count: int) -> None:
            if shows:
                self.stderr.write(f"\r{kind}: {count}   ", ending="")

        found = operations.reconcile(by=BY, dry_run=options["dry_run"], seen=seen)
        if shows:
            self.stderr.write("")
        verb = "would change" if options["dry_run"] else "changed"
        lines = [
            f"{kind:<24} {each['at_stripe']:>6} at Stripe, {each['changed']} {verb}, "
            f"{each['gone']} gone"
            for kind, each in found.items()
        ]
        self.say(options, found, *lines)

    def _status(self, options: Options) -> None:
        found = services.subscription_status(
            field=options["field"], value=options["value"], refresh=options["refresh"]
        )
        self.say(
            options,
            found,
            f"{found['customer'] or 'no customer'}: {found['status']}",
            *(f"  {each['id']}  {each['status']}" for each in found["subscriptions"]),
        )

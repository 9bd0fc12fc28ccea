"""Operators' pages of payments: Stripe's events, with retry, and the mirrored subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib import admin
from django.http import HttpRequest

from core import dashboard
from core.adminpages import (
    Action,
    Input,
    ListPage,
    ObjectPage,
    PartAdmin,
    Row,
    Table,
    operator,
    page_of,
)
from core.admintext import moment, pretty, state
from core.errors import NotFound
from payments import events, mirror, operations
from payments.inputs import normalise_email
from payments.models import Event, Subscription


@admin.register(Event)
class EventAdmin(PartAdmin):
    """Stripe's events."""

    def filters(self, request: HttpRequest) -> Sequence[Input]:
        given = request.GET
        states = ("", events.RECEIVED, events.PROCESSING, events.PROCESSED, events.FAILED)
        names = [(state, state or "any") for state in states]
        return [
            Input("state", "State", given.get("state", ""), "select", names),
            Input("type", "Type", given.get("type", ""), hint="invoice.paid"),
        ]

    def list_page(self, request: HttpRequest) -> ListPage:
        filters = self.filters(request)
        chosen, type_ = (each.value for each in filters)
        found, more = page_of(
            request,
            lambda limit, skip: operations.list_events(
                state=chosen, type_=type_, limit=limit, skip=skip
            ),
        )
        rows = [
            Row(
                [each["_id"], each["type"], state(each["state"]), each["attempts"],
                 moment(each["received_at"]), each["reason"]],
                key=each["_id"],
            )
            for each in found
        ]  # fmt: skip
        columns = ["Event", "Type", "State", "Attempts", "Received", "Reason"]
        return ListPage(Table(columns, rows, empty="No event fits."), filters, more)

    def object_page(self, request: HttpRequest, key: str) -> ObjectPage:
        record, payload = operations.describe_event(key)
        done = record["processed_at"]
        waits = record["state"] == events.FAILED
        return ObjectPage(
            title=record["type"],
            facts=[
                ("Event", record["_id"]),
                ("About", record["object_id"]),
                ("State", state(record["state"])),
                ("Attempts", record["attempts"]),
                ("Reason", record["reason"]),
                ("Received", moment(record["received_at"])),
                ("Next attempt", moment(record["next_attempt_at"]) if waits else None),
                ("Processed", moment(done)),
                ("Mode", "live" if record["livemode"] else "test"),
            ],
            links=[("Stripe's dashboard", operations.dashboard_url("event", record["_id"]))],
            texts=[("Payload, personal data masked", pretty(payload))],
            actions=[Action("retry", "Retry now")] if waits else [],
        )

    def act(self, request: HttpRequest, key: str, action: str, value: str) -> str:
        if action != "retry":
            raise NotFound
        done = events.retry(event_id=key, by=operator(request))
        return "Processed." if done else "It failed again; the reason is below."


@admin.register(Subscription)
class SubscriptionAdmin(PartAdmin):
    """The subscriptions as the mirror has them."""

    def filters(self, request: HttpRequest) -> Sequence[Input]:
        given = request.GET
        names = [("", "any"), *((status, status) for status in mirror.STRENGTH)]
        return [
            Input("status", "Status", given.get("status", ""), "select", names),
            Input("email", "Email", given.get("email", "")),
        ]

    def list_page(self, request: HttpRequest) -> ListPage:
        filters = self.filters(request)
        status, email = (each.value for each in filters)
        found, more = page_of(
            request,
            lambda limit, skip: operations.list_subscriptions(
                status=status, email=normalise_email(email), limit=limit, skip=skip
            ),
        )
        rows = [
            Row(
                [each["_id"], state(each["status"]), each.get("email"), each["customer"],
                 moment(each["synced_at"])],
                key=each["_id"],
            )
            for each in found
        ]  # fmt: skip
        columns = ["Subscription", "Status", "Email", "Customer", "Synced"]
        return ListPage(Table(columns, rows, empty="No subscription fits."), filters, more)

    def object_page(self, request: HttpRequest, key: str) -> ObjectPage:
        record = mirror.by_id("subscription", key)
        if record is None:
            raise NotFound("There is no subscription with this id.")
        links = [("Stripe's dashboard", operations.dashboard_url("subscription", key))]
        if record["customer"]:
            address = operations.dashboard_url("customer", record["customer"])
            links.append(("The customer there", address))
        return ObjectPage(
            title=key,
            facts=[
                ("Status", state("deleted" if record["deleted"] else record["status"])),
                ("Customer", record["customer"]),
                ("Email", record.get("email")),
                ("Synced", moment(record["synced_at"])),
            ],
            links=links,
            texts=[("As Stripe has it", pretty(operations.masked(record["object"])))],
        )


def _last_day(since: datetime) -> dashboard.Facts:
    states = operations.count_events(since=since)
    return [
        ("Events", sum(states.values())),
        ("Waiting to be tried again", states.get(events.FAILED, 0)),
        ("Active subscriptions", operations.count_subscriptions(status="active")),
        *dashboard.audited(since, ("Checkouts", "payment.checkout", "success")),
    ]


dashboard.add_panel(
    "Payments",
    permission="payments.view_event",
    url="admin:payments_event_changelist",
    facts=_last_day,
)

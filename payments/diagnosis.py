"""What `manage.py doctor` looks at in the payments: Stripe, and events that wait."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from core.diagnosis import Finding, examines
from core.errors import CoglexError
from payments import events, stripe_api


@examines("stripe")
def _stripe() -> Iterator[Finding]:
    if not stripe_api.is_configured():
        return
    try:
        list(islice(stripe_api.list_all("subscription", limit=1), 1))
    except CoglexError as error:
        remedy = "See STRIPE_SECRET_KEY, and that this machine reaches api.stripe.com."
        yield Finding("stripe.unusable", "error", "stripe", error.detail, remedy)


@examines("events", on_mongodb=True)
def _events() -> Iterator[Finding]:
    if waiting := len(events.find(state=events.FAILED, limit=1000)):
        detail = f"{waiting} events failed and wait to be tried again."
        remedy = "See why with `manage.py payments events --state failed`."
        yield Finding("events.failed", "warning", "events", detail, remedy)

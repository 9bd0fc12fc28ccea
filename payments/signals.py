"""Django signals for the operator's code: one for each kind of event.

``signal_for("invoice.paid").connect(receiver)`` in an AppConfig's ``ready``. A receiver is called
with ``event`` (Stripe's event) and ``stripe_object`` (as the mirror has it now, or None when it
is not mirrored or gone). It is called after the mirror is up to date, by the worker's own
thread, and again when it, or another receiver of the event, raised: at least once.
"""

from __future__ import annotations

from functools import cache

from django.dispatch import Signal

any_event = Signal()


@cache
def signal_for(event_type: str) -> Signal:
    """The signal of a kind of event, such as ``customer.subscription.updated``."""
    return Signal()


checkout_completed = signal_for("checkout.session.completed")
checkout_expired = signal_for("checkout.session.expired")
subscription_created = signal_for("customer.subscription.created")
subscription_updated = signal_for("customer.subscription.updated")
subscription_deleted = signal_for("customer.subscription.deleted")
invoice_paid = signal_for("invoice.paid")
invoice_payment_failed = signal_for("invoice.payment_failed")
refund_created = signal_for("refund.created")

"""System checks: settings of the payments that do not go together."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004

from payments import stripe_api


@register
def check_payments(**_: Any) -> list[CheckMessage]:
    """Key, webhook secrets, the API's address and the list of redirects."""
    found: list[CheckMessage] = []
    key = settings.STRIPE_SECRET_KEY
    if key and not key.startswith(("sk_", "rk_")):
        text = "STRIPE_SECRET_KEY is not one of Stripe's secret keys."
        found.append(Warning(text, hint="They begin with sk_ or rk_.", id="payments.W002"))
    if key and not settings.STRIPE_WEBHOOK_SECRETS:
        text = "STRIPE_WEBHOOK_SECRET is not set: webhooks are refused, and the mirror stays empty."
        found.append(Warning(text, hint="docs/payments.md says where it is.", id="payments.W001"))
    if stripe_api.is_live() and settings.STRIPE_API_BASE:
        text = "A live key is sent to STRIPE_API_BASE."
        hint = "Unset it: it is for the stand-in only."
        found.append(Warning(text, hint=hint, id="payments.W003"))
    for origin in settings.COGLEX_PAYMENT_REDIRECTS:
        parts = urlsplit(origin)
        if not parts.scheme or not parts.netloc or parts.path:
            text = f"{origin} in COGLEX_PAYMENT_REDIRECTS is no origin."
            hint = "Write origins such as https://shop.example.com."
            found.append(Error(text, hint=hint, id="payments.E001"))
    return found

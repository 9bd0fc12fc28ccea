"""A stand-in for Stripe, for tests and for trying payments without an account.

A server of its own on loopback (`manage.py stripe_standin`) that keeps state, checks requests
against the SDK's own types, and sends signed webhooks. Nothing that serves requests imports it,
and where settings are those of a production server it cannot be imported at all.
"""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

if settings.HTTPS or str(settings.STRIPE_SECRET_KEY).startswith(("sk_live_", "rk_live_")):
    raise ImproperlyConfigured("The stand-in for Stripe is not for production.")

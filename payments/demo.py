"""The demonstration's payments: customers in the tea club. Only with the stand-in for Stripe."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from django.conf import settings

from core.demo import Holding, Part, Seen
from core.demo.shop import CUSTOMERS
from core.errors import StripeUnavailable
from payments import customers, mirror, operations, services, stripe_api

PRICE = "price_club"
_MEMBERS = tuple(customer.email for customer in CUSTOMERS[::3])
# Those who have left again.
_LEFT = frozenset(_MEMBERS[2::5])
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_SECONDS = 10


class Subscriptions(Part):
    """Subscriptions that were paid for on the stand-in's page, told by the customers' emails."""

    name = "payments"

    def left_out(self) -> str:
        host = urlsplit(settings.STRIPE_API_BASE).hostname
        if stripe_api.is_configured() and not stripe_api.is_live() and host in _LOOPBACK:
            return ""
        return "payments are not configured with the stand-in (`manage.py stripe_standin`)"

    def survey(self) -> list[Holding]:
        claims = self.claims()
        there = sum(1 for email in claims if mirror.find("subscription", {"email": email}))
        held = {each["_id"] for each in customers.customers.find({"_id": {"$in": [*_MEMBERS]}})}
        return [Holding("subscriptions", len(_MEMBERS), there, bool(held - claims.keys()))]

    def load(self, *, by: str, seen: Seen) -> None:
        for email in _MEMBERS:
            if mirror.find("subscription", {"email": email}):
                continue
            self.claim(email)
            if not _known(email)["subscriptions"]:
                _subscribe(email, by)
            seen()

    def remove(self, *, by: str, seen: Seen) -> None:
        """The stand-in forgets by itself, when it ends; until then a new ``load`` finds them."""
        for email in self.claims():
            operations.forget_customer(email=email, by=by)
            seen()
        self.release()


def _known(email: str) -> dict[str, object]:
    return services.subscription_status(field="email", value=email, refresh=True)


def _subscribe(email: str, by: str) -> None:
    """What an application, a person and Stripe do; also without a server that takes webhooks."""
    origin = next(iter(settings.COGLEX_PAYMENT_REDIRECTS), "https://shop.example")
    session = services.create_checkout(
        body={
            "mode": "subscription",
            "line_items": [{"price": PRICE}],
            "email": email,
            "success_url": f"{origin}/thanks",
            "cancel_url": f"{origin}/",
            "metadata": {"source": "demo"},
        },
        user=None,
        request_key=secrets.token_hex(32),
        principal=by,
    )
    _ask("POST", session["url"], data={"pay": ""})
    mirror.refresh("checkout.session", session["id"])
    for subscription in mirror.refresh_all("subscription", customer=session["customer"]):
        if email in _LEFT:
            _ask("DELETE", f"{settings.STRIPE_API_BASE}/v1/subscriptions/{subscription}")
            mirror.refresh("subscription", subscription)


def _ask(method: str, url: str, data: dict[str, str] | None = None) -> None:
    """Speak with the stand-in, as people and Stripe's own pages do."""
    key = {"Authorization": f"Bearer {settings.STRIPE_SECRET_KEY}"}
    import requests

    try:
        requests.request(
            method, url, data=data, headers=key, timeout=_SECONDS, allow_redirects=False
        ).raise_for_status()
    except requests.RequestException:
        raise StripeUnavailable("The stand-in for Stripe does not answer.") from None

"""The stand-in for Stripe, over real HTTP with the real SDK; and clients that pay."""

from __future__ import annotations

import pytest

from core.audit import entries
from payments import customers, events, mirror
from payments.standin.server import Standin
from tests.accounts.conftest import people  # noqa: F401 - a fixture
from tests.conftest import APIClient

BASE = "/service/payment/v1"
URLS = {"success_url": "https://shop.example/ok", "cancel_url": "https://shop.example/no"}
TEA = {"price_data": {"currency": "eur", "unit_amount": 450, "product_data": {"name": "Tea"}}}
CLUB = {
    "price_data": {
        "currency": "eur",
        "unit_amount": 900,
        "product_data": {"name": "Tea club"},
        "recurring": {"interval": "month"},
    }
}


@pytest.fixture
def standin(settings):
    """A Stripe of this test's own, and the settings that lead there."""
    running = Standin().start()
    settings.STRIPE_SECRET_KEY = "sk_test_standin"
    settings.STRIPE_WEBHOOK_SECRETS = [running.secret]
    settings.STRIPE_API_BASE = running.url
    settings.COGLEX_STRIPE_RETRIES = 1
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    for kept in (mirror.objects, customers.customers, events.events, entries):
        kept.delete_all({})


class Payer(APIClient):
    """A client of the payment service."""

    def checkout(self, headers=None, **body):
        body = {"mode": "payment", "line_items": [TEA], **URLS, **body}
        return self.send("POST", f"{BASE}/checkout/", body, **(headers or {}))

    def subscribe(self, headers=None, **body):
        body = {"email": "ada@example.com", "line_items": [CLUB], **body}
        return self.send("POST", f"{BASE}/subscription/", body, **(headers or {}))

    def status(self, **asked):
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return self.send("GET", f"{BASE}/subscription/?{query}")

    def deliver(self, standin, event):
        """Send an event as Stripe would."""
        body, headers = standin.signed(event)
        return self.hook(body, headers["Stripe-Signature"])

    def hook(self, body, signature=None):
        headers = {} if signature is None else {"Stripe-Signature": signature}
        return self.generic(
            "POST", f"{BASE}/webhook/", body, content_type="application/json", headers=headers
        )

    def deliver_all(self, standin):
        """Send all events that there are, each once."""
        while standin.emitted:
            assert self.deliver(standin, standin.emitted.pop(0)).status_code == 200


@pytest.fixture
def api():
    return Payer()


@pytest.fixture
def stripe_hook():
    """Stripe's side: no API key."""
    return Payer(key="")


@pytest.fixture
def subscribed(api, standin, stripe_hook):
    """A paid checkout of a subscription, all its events delivered: Stripe's subscription."""
    session = api.checkout(mode="subscription", line_items=[CLUB], email="ada@example.com").json()
    standin.state.pay(session["id"])
    stripe_hook.deliver_all(standin)
    return standin.state.all("subscription")[0]

"""Payments on the real server: events under kills, and the whole flow in a browser."""

from __future__ import annotations

import re
import shutil

import httpx
import pytest

from payments.standin.server import Standin
from tests.payments import deliveries
from tests.payments.conftest import URLS
from tests.processes import SECRET, eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path):
    """A server and its stand-in, which sends it webhooks."""
    standin = Standin(webhook="below")
    standin.state.add_prices()
    # In debug people may be sent back to localhost.
    served = deliveries.serve(tmp_path / "var", standin, DJANGO_DEBUG="on")
    standin.webhook = served.url + deliveries.WEBHOOK
    standin.start()
    yield served, standin
    served.stop()
    standin.stop()


def test_events_under_kills_end_at_what_stripe_has(tmp_path):
    """A small one of what `python -m bench events` does with a thousand."""
    standin = Standin().start()
    served = deliveries.serve(tmp_path / "var", standin)
    try:
        made = deliveries.make_events(standin, 120)
        deliveries.deliver(served, standin, made, kills=2)
        found = deliveries.outcome(served, standin, made, seconds=60, expire=True)
    finally:
        served.stop()
        standin.stop()
    assert found["equal"] == found["mirrored"] > 10
    assert found["heard"] == found["events"] == 120


def test_the_whole_flow_in_a_browser(pair, tmp_path):
    """Checkout by a request, "Pay" by a click, the webhook, the status, the admin."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    served, _ = pair
    operator = re.search(r"password (\S+)", served.output.read_text()).group(1)
    payment = f"{served.url}/service/payment/v1"
    body = {
        "mode": "subscription",
        "line_items": [{"price": "price_club"}],
        "email": "ada@example.com",
        **URLS,
        "success_url": f"{served.url}/healthz",
    }
    session = httpx.post(f"{payment}/checkout/", json=body, headers={"X-API-Key": SECRET}).json()

    def status():
        asked = {"email": "ada@example.com"}
        return served.http.get(f"{payment}/subscription/", params=asked).json()

    assert status()["status"] == "none"
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(session["url"])
        assert "9.00 EUR" in page.inner_text("body")
        page.click("button[name=pay]")
        page.wait_for_url("**/healthz")
        told = eventually(lambda: status()["status"] == "active" and status())
        page.goto(f"{served.url}/admin/")
        page.fill("#id_username", "admin")
        page.fill("#id_password", operator)
        page.click("input[type=submit]")
        page.goto(f"{served.url}/admin/payments/subscription/")
        page.click(f"text={told['subscriptions'][0]['id']}")
        assert "active" in page.inner_text("table.facts")
        page.goto(f"{served.url}/admin/payments/event/?type=checkout.session.completed")
        assert "processed" in page.inner_text(".results")
        browser.close()

"""The stand-in for Stripe: it is as strict as Stripe, and fails when it is told to."""

from __future__ import annotations

import io
import threading

import httpx
import pytest
from django.core.management import call_command

from payments.standin.server import Standin
from tests.processes import eventually, free_port

KEY = {"Authorization": "Bearer sk_test_x"}


@pytest.fixture
def stripe():
    running = Standin().start()
    with httpx.Client(base_url=running.url, headers=KEY) as http:
        yield running, http
    running.stop()


def error(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "data", "param"),
    [
        ("/v1/customers", {"emial": "a@b.c"}, "emial"),
        ("/v1/checkout/sessions", {"payment_method_types[0]": "card"}, "payment_method_types"),
        ("/v1/checkout/sessions", {"line_items[0][amount]": "5"}, "line_items[0][amount]"),
        ("/v1/checkout/sessions", {"line_items[0][quantity]": "x"}, "line_items[0][quantity]"),
        ("/v1/checkout/sessions", {"line_items": "x"}, "line_items"),
        ("/v1/checkout/sessions", {"metadata": "x"}, "metadata"),
        (
            "/v1/checkout/sessions",
            {"line_items[0][price_data][unit_amount]": "5"},
            "line_items[0][price_data][currency]",
        ),
        ("/v1/subscription_schedules", {"phases[0][iterations]": "5"}, "phases[0][iterations]"),
        ("/v1/subscription_schedules", {"customer": "cus_none"}, "customer"),
        ("/v1/products", {}, "name"),
    ],
)
def test_a_parameter_that_stripe_does_not_have_is_its_400(stripe, path, data, param):
    _, http = stripe
    said = error(http.post(path, data=data), 400)
    assert (said["type"], said["param"]) == ("invalid_request_error", param)


def test_unknown_paths_objects_and_keys_are_refused(stripe):
    _, http = stripe
    assert error(http.get("/v1/customers/cus_none"), 404)["code"] == "resource_missing"
    assert error(http.get("/v1/nothing"), 404)
    assert error(http.get("/v1/customers", headers={"Authorization": "Bearer sk_live_x"}), 401)
    assert http.get("/pay/cs_none").status_code == 404


def test_an_idempotency_key_replays_and_notices_other_parameters(stripe):
    running, http = stripe
    key = {"Idempotency-Key": "k"}
    first = http.post("/v1/customers", data={"email": "a@b.c"}, headers=key)
    again = http.post("/v1/customers", data={"email": "a@b.c"}, headers=key)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    other = http.post("/v1/customers", data={"email": "x@y.z"}, headers=key)
    assert error(other, 400)["type"] == "idempotency_error"
    assert len(running.state.all("customer")) == 1


def test_faults_are_counted_and_only_below_their_path(stripe):
    running, http = stripe
    asked = {"mode": "500", "times": 2, "path": "/v1/customers"}
    assert http.post("/standin/fail", json=asked).status_code == 200
    assert http.get("/v1/prices").status_code == 200
    assert [http.get("/v1/customers").status_code for _ in range(3)] == [500, 500, 200]
    running.fail("drop")
    with pytest.raises(httpx.TransportError):
        http.get("/v1/customers")
    running.fail("lost")
    with pytest.raises(httpx.TransportError):
        http.post("/v1/customers", data={"email": "a@b.c"})
    assert len(running.state.all("customer")) == 1


def test_people_pay_once_and_events_tell(stripe):
    running, http = stripe
    price, _ = running.state.add_prices()
    data = {"mode": "payment", "line_items[0][price]": price, "success_url": "https://x.example/"}
    session = http.post("/v1/checkout/sessions", data=data).json()
    page = http.get(session["url"])
    assert "4.50 EUR" in page.text
    paid = http.post(session["url"])
    assert (paid.status_code, paid.headers["Location"]) == (303, "https://x.example/")
    assert "is over" in http.get(session["url"]).text
    assert http.post(session["url"]).status_code == 200
    assert [each["type"] for each in running.emitted] == ["checkout.session.completed"]
    intent = http.get(f"/v1/checkout/sessions/{session['id']}").json()["payment_intent"]
    refund = http.post("/v1/refunds", data={"payment_intent": intent, "amount": "100"}).json()
    assert (refund["amount"], refund["status"]) == (100, "succeeded")
    assert running.emitted[-1]["type"] == "refund.created"


def test_subscriptions_are_cancelled_and_sessions_expire(stripe):
    running, http = stripe
    _, club = running.state.add_prices()
    customer = http.post("/v1/customers", data={"email": "a@b.c"}).json()["id"]
    made = http.post(
        "/v1/subscription_schedules",
        data={"customer": customer, "phases[0][items][0][price]": club, "start_date": "now"},
    ).json()
    gone = http.delete(f"/v1/subscriptions/{made['subscription']}").json()
    assert gone["status"] == "canceled"
    assert running.emitted[-1]["type"] == "customer.subscription.deleted"
    listed = http.get("/v1/subscriptions", params={"customer": customer}).json()
    assert listed["data"] == []
    every = http.get("/v1/subscriptions", params={"customer": customer, "status": "all"}).json()
    assert [each["id"] for each in every["data"]] == [made["subscription"]]
    data = {"mode": "setup", "currency": "eur"}
    session = http.post("/v1/checkout/sessions", data=data).json()
    running.state.expire(session["id"])
    assert running.emitted[-1]["type"] == "checkout.session.expired"
    assert http.delete(f"/v1/customers/{customer}").json()["deleted"]


def test_the_command_says_how_to_use_it_and_sends_webhooks(monkeypatch):
    port, out, ready = free_port(), io.StringIO(), threading.Event()

    def interrupted():
        ready.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr("payments.management.commands.stripe_standin._wait", interrupted)
    asked = ("stripe_standin", "--port", str(port), "--webhook", "http://127.0.0.1:1/")
    thread = threading.Thread(target=call_command, args=asked, kwargs={"stdout": out})
    thread.start()
    try:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: "Ctrl-C stops it" in out.getvalue())
        found = httpx.get(f"{url}/v1/prices/price_club", headers=KEY)
        assert found.json()["unit_amount"] == 900
    finally:
        ready.set()
        thread.join(20)
    assert f"STRIPE_API_BASE={url}" in out.getvalue()

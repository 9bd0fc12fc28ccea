"""Subscriptions: schedules made at Stripe, and who has which, told by the mirror."""

from __future__ import annotations

import time

import pytest

from payments import mirror, operations
from payments.standin.state import shown
from tests.conftest import assert_problem
from tests.payments.conftest import BASE, CLUB, TEA, Payer


class TestMaking:
    def test_the_answer_is_the_schedule_and_its_subscription(self, api, standin):
        answer = api.subscribe(metadata={"a": "b"})
        (schedule,) = standin.state.all("subscription_schedule")
        (subscription,) = standin.state.all("subscription")
        assert answer.status_code == 201
        assert answer.json() == {
            "customer": standin.state.all("customer")[0]["id"],
            "schedule": shown(schedule),
            "subscription": shown(subscription),
            "status": "active",
        }
        assert mirror.by_id("subscription", subscription["id"])["status"] == "active"
        assert (schedule["end_behavior"], schedule["metadata"]) == ("release", {"a": "b"})

    def test_due_is_an_invoice_to_be_paid_by_then(self, api, standin):
        schedule = api.subscribe(due=14).json()["schedule"]
        assert schedule["default_settings"] == {
            "collection_method": "send_invoice",
            "invoice_settings": {"days_until_due": 14},
        }

    def test_iterations_are_how_often_it_is_paid(self, api, standin):
        schedule = api.subscribe(iterations=6).json()["schedule"]
        assert schedule["end_behavior"] == "cancel"
        assert schedule["phases"][0]["duration"] == {"interval": "month", "interval_count": 6}

    def test_iterations_of_a_price_are_counted_in_its_interval(self, api, standin):
        price = standin.state.create_price(
            {
                "currency": "eur",
                "unit_amount": 1,
                "recurring": {"interval": "week", "interval_count": 2},
            }
        )
        schedule = api.subscribe(line_items=[{"price": price["id"]}], iterations=3).json()[
            "schedule"
        ]
        assert schedule["phases"][0]["duration"] == {"interval": "week", "interval_count": 6}

    def test_iterations_need_one_interval(self, api, standin):
        once = standin.state.create_price({"currency": "eur", "unit_amount": 1})
        answer = api.subscribe(line_items=[{"price": once["id"]}], iterations=3)
        problem = assert_problem(answer, 400, "invalid_request")
        assert problem["errors"][0]["pointer"] == "/line_items/0/price"
        yearly = {"price_data": {**CLUB["price_data"], "recurring": {"interval": "year"}}}
        answer = api.subscribe(line_items=[CLUB, yearly], iterations=3)
        assert (
            assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/iterations"
        )

    def test_a_price_that_stripe_does_not_know_is_refused(self, api, standin):
        answer = api.subscribe(line_items=[{"price": "price_none"}], iterations=3)
        problem = assert_problem(answer, 400, "payment_refused")
        assert problem["detail"] == "No such price: 'price_none'"

    @pytest.mark.parametrize("later", [3600, "rfc3339"])
    def test_it_may_begin_later(self, api, standin, later):
        at = int(time.time()) + 3600
        start = at if later == 3600 else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        made = api.subscribe(start_date=start).json()
        assert (made["subscription"], made["status"]) == (None, "not_started")

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"email": None}, "/email"),
            ({"line_items": None}, "/line_items"),
            ({"line_items": [TEA]}, "/line_items/0/price_data/recurring"),
            ({"due": 0}, "/due"),
            ({"due": "14"}, "/due"),
            ({"iterations": 0}, "/iterations"),
            ({"iterations": 1.5}, "/iterations"),
            ({"start_date": "tomorrow"}, "/start_date"),
            ({"start_date": "2027-01-01T00:00:00"}, "/start_date"),
            ({"start_date": -1}, "/start_date"),
            ({"mode": "subscription"}, "/mode"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_bad_input_is_refused_before_stripe_sees_it(self, api, standin, change, pointer):
        problem = assert_problem(api.subscribe(**change), 400, "invalid_request")
        assert problem["errors"][0]["pointer"] == pointer
        assert standin.requests == []

    def test_a_lost_answer_makes_no_second_one(self, api, standin):
        standin.fail("lost", times=2, path="/v1/subscription_schedules")
        key = {"Idempotency_Key": f"s-{standin.url}"}
        assert_problem(api.subscribe(key), 502, "stripe_unavailable")
        assert api.subscribe(key).status_code == 201
        for kind in ("customer", "subscription_schedule", "subscription"):
            assert len(standin.state.all(kind)) == 1
        assert len(standin.state.all("product")) == 1


class TestStatus:
    def test_nobody_has_none(self, api, standin):
        assert api.status(email="ada@example.com").json() == {
            "customer": None,
            "status": "none",
            "subscriptions": [],
            "synced_at": None,
        }

    def test_it_is_told_by_email_customer_and_subscription(self, api, standin, subscribed):
        for asked in (
            {"email": "ADA@example.com"},
            {"customer": subscribed["customer"]},
            {"subscription": subscribed["id"]},
        ):
            told = api.status(**asked).json()
            assert told["synced_at"].endswith("Z")
            assert told == {
                "customer": subscribed["customer"],
                "status": "active",
                "subscriptions": [shown(subscribed)],
                "synced_at": told["synced_at"],
            }

    def test_it_asks_stripe_nothing(self, api, standin, subscribed):
        standin.requests.clear()
        api.status(email="ada@example.com")
        assert standin.requests == []

    def test_the_strongest_counts(self, api, standin, subscribed, stripe_hook):
        api.subscribe()
        first, second = standin.state.all("subscription")
        for statuses, strongest in [
            (("past_due", "trialing"), "trialing"),
            (("active", "trialing"), "active"),
            (("canceled", "unpaid"), "unpaid"),
            (("canceled", "incomplete_expired"), "canceled"),
        ]:
            for each, status in zip((first, second), statuses, strict=True):
                standin.state.change_subscription(each["id"], status)
            stripe_hook.deliver_all(standin)
            told = api.status(email="ada@example.com").json()
            assert (told["status"], len(told["subscriptions"])) == (strongest, 2)

    def test_refresh_asks_stripe(self, api, standin):
        with standin.state.lock:
            customer = standin.state.create_customer({"email": "bob@example.com"})
            item = standin.state._priced([CLUB])
            made = standin.state._subscribe(customer["id"], item, {})
        assert api.status(email="bob@example.com").json()["status"] == "none"
        for asked in (
            {"email": "bob@example.com"},
            {"customer": customer["id"]},
            {"subscription": made["id"]},
        ):
            mirror.objects.delete_all({})
            told = api.status(**asked, refresh="true").json()
            assert (told["status"], told["customer"]) == ("active", customer["id"])

    @pytest.mark.parametrize("repair", ["refresh", "reconcile"])
    def test_a_subscription_that_its_email_does_not_lead_to_yet_is_repaired(
        self, api, standin, repair, monkeypatch
    ):
        """A worker that keeps what a webhook told may be, or end, between the two writes."""
        with standin.state.lock:
            customer = standin.state.create_customer({"email": "bob@example.com"})
            made = standin.state._subscribe(customer["id"], standin.state._priced([CLUB]), {})
        with monkeypatch.context() as patched:
            patched.setattr("payments.mirror._spread_email", lambda customer: None)
            mirror.refresh("customer", customer["id"])
            mirror.refresh("subscription", made["id"])
        assert api.status(email="bob@example.com").json()["status"] == "none"
        if repair == "refresh":
            api.status(email="bob@example.com", refresh="true")
        else:
            assert operations.reconcile(by="cli")["subscription"]["changed"] == 1
        assert api.status(email="bob@example.com").json()["status"] == "active"

    def test_what_stripe_has_no_more_is_gone_after_a_refresh(self, api, standin, subscribed):
        del standin.state.objects[subscribed["id"]]
        told = api.status(subscription=subscribed["id"], refresh="true").json()
        assert (told["status"], told["subscriptions"]) == ("none", [])

    def test_when_stripe_does_not_answer_a_refresh_is_502(self, api, standin, subscribed):
        standin.fail("500", times=2)
        answer = api.status(email="ada@example.com", refresh="true")
        assert_problem(answer, 502, "stripe_unavailable")
        assert api.status(email="ada@example.com").json()["status"] == "active"

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "email=a@b.c&customer=cus_x",
            "email=",
            "user=x",
            "email=a@b.c&email=d@e.f",
            "email=a@b.c&refresh=yes",
            "customer=" + "x" * 300,
        ],
    )
    def test_it_is_asked_by_one_of_them(self, api, standin, query):
        answer = api.send("GET", f"{BASE}/subscription/?{query}")
        assert_problem(answer, 400, "invalid_parameter")

    def test_head_is_answered(self, standin):
        answer = Payer().send("HEAD", f"{BASE}/subscription/?email=a@b.c")
        assert (answer.status_code, answer.content) == (200, b"")

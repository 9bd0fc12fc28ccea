"""What operators do with payments: commands, the admin, the checks of the settings."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from core import audit
from payments import checks, events, mirror, operations
from payments.standin.state import shown
from tests.conftest import sign_in_operator
from tests.processes import ROOT, environment


def run(*args, **options):
    out = io.StringIO()
    call_command("payments", *args, stdout=out, **options)
    return out.getvalue()


def run_json(*args, **options):
    return json.loads(run(*args, json=True, **options))


@pytest.fixture
def failed(standin, subscribed, stripe_hook):
    """An event that failed once, and would go well now."""
    standin.state.change_subscription(subscribed["id"], "past_due")
    event = standin.emitted.pop()
    event["data"]["object"]["customer_email"] = "ada@example.com"
    event["data"]["object"]["shipping"] = {"name": "Ada", "address": {"line1": "x"}}
    standin.fail("500", times=2, path="/v1/subscriptions/")
    stripe_hook.deliver(standin, event)
    assert events.get(event["id"])["state"] == "failed"
    return event


class TestCommands:
    def test_events_are_listed(self, failed):
        (found,) = run_json("events", state="failed")
        assert (found["_id"], found["type"]) == (failed["id"], "customer.subscription.updated")
        assert "raw" not in found
        text = run("events", type="customer.subscription.updated")
        assert failed["id"] in text
        assert "stripe_unavailable" in text

    def test_an_event_is_shown_without_personal_data(self, failed):
        text = run("show", failed["id"])
        assert "ada@example.com" not in text
        payload = run_json("show", failed["id"])["payload"]
        assert payload["data"]["object"]["customer_email"] == operations.MASK
        assert payload["data"]["object"]["shipping"] == operations.MASK
        assert payload["data"]["object"]["id"] == failed["data"]["object"]["id"]
        with pytest.raises(CommandError, match="no event with this id"):
            run("show", "evt_none")

    def test_failed_events_are_retried(self, failed):
        assert run_json("retry", dry_run=True) == {"would_retry": [failed["id"]]}
        assert run_json("retry") == {failed["id"]: True}
        assert events.get(failed["id"])["state"] == "processed"
        assert run_json("retry") == {}
        (entry,) = audit.find(action="payment.retry")
        assert (entry["target"], entry["principal"], entry["outcome"]) == (
            failed["id"],
            "cli",
            "success",
        )

    def test_one_that_fails_again_is_said(self, standin, failed):
        standin.fail("500", times=2, path="/v1/subscriptions/")
        with pytest.raises(CommandError, match="failed again"):
            run("retry", failed["id"])
        assert events.get(failed["id"])["attempts"] == 2

    def test_somebodys_status_is_told(self, standin, subscribed):
        assert f"{subscribed['customer']}: active" in run("status", "email", "ada@example.com")
        assert (
            run_json("status", "subscription", subscribed["id"], refresh=True)["status"] == "active"
        )
        assert "no customer: none" in run("status", "email", "x@example.com")

    def test_without_a_key_they_say_so(self, failed, settings):
        settings.STRIPE_SECRET_KEY = ""
        with pytest.raises(CommandError, match="not set up"):
            run("status", "email", "x@example.com")
        with pytest.raises(CommandError, match="not set up"):
            run("reconcile")


class TestReconcile:
    def test_it_repairs_whatever_differs(self, standin, subscribed, stripe_hook, api):
        api.subscribe(email="bob@example.com")
        other = standin.state.all("subscription")[0]
        standin.emitted.clear()
        mirror.objects.delete_all({"kind": "invoice"})
        mirror.objects.update(
            {"_id": subscribed["id"]}, {"$set": {"object.status": "x", "status": "x"}}
        )
        del standin.state.objects[other["id"]]
        would = run_json("reconcile", dry_run=True)
        assert would == {
            "customer": {"at_stripe": 2, "changed": 0, "gone": 0},
            "checkout.session": {"at_stripe": 1, "changed": 0, "gone": 0},
            "subscription": {"at_stripe": 1, "changed": 1, "gone": 1},
            "subscription_schedule": {"at_stripe": 1, "changed": 0, "gone": 0},
            "invoice": {"at_stripe": 2, "changed": 2, "gone": 0},
            "refund": {"at_stripe": 0, "changed": 0, "gone": 0},
        }
        assert mirror.by_id("subscription", subscribed["id"])["status"] == "x"
        did = run_json("reconcile")
        assert did["subscription"] == {"at_stripe": 1, "changed": 1, "gone": 1}
        assert mirror.by_id("subscription", subscribed["id"])["object"] == shown(subscribed)
        assert mirror.by_id("subscription", other["id"])["deleted"]
        again = run_json("reconcile")
        assert {(each["changed"], each["gone"]) for each in again.values()} == {(0, 0)}
        assert len(audit.find(action="payment.reconcile")) == 2

    def test_many_are_walked_through(self, standin, monkeypatch):
        monkeypatch.setattr("payments.stripe_api._PAGE", 2)
        for number in range(5):
            standin.state.create_customer({"email": f"{number}@example.com"})
        assert run_json("reconcile")["customer"] == {"at_stripe": 5, "changed": 5, "gone": 0}
        assert "customer                      5 at Stripe, 0 changed, 0 gone" in run("reconcile")


@pytest.mark.django_db
class TestAdmin:
    EVENTS = "/admin/payments/event/"
    SUBSCRIPTIONS = "/admin/payments/subscription/"

    def text(self, response):
        assert response.status_code == 200
        return response.content.decode()

    def test_events_are_listed_and_filtered(self, admin_client, failed):
        assert failed["id"] in self.text(admin_client.get(self.EVENTS, {"state": "failed"}))
        shown_ = self.text(admin_client.get(self.EVENTS, {"state": "processed"}))
        assert failed["id"] not in shown_
        assert "checkout.session.completed" in shown_
        assert "No event fits" in self.text(admin_client.get(self.EVENTS, {"type": "nope"}))

    def test_a_failed_event_is_seen_and_retried(self, admin_client, failed):
        page = f"{self.EVENTS}{failed['id']}/"
        before = self.text(admin_client.get(page))
        assert "stripe_unavailable" in before
        assert "ada@example.com" not in before
        assert f"https://dashboard.stripe.com/test/events/{failed['id']}" in before
        after = self.text(admin_client.post(page, {"action": "retry:"}, follow=True))
        assert "Processed." in after
        assert "Retry now" not in after
        assert audit.find(action="payment.retry")[0]["principal"] == "admin:admin"

    def test_an_event_that_is_not_there_leads_to_the_list(self, admin_client):
        assert "no event with this id" in self.text(
            admin_client.get(f"{self.EVENTS}x/", follow=True)
        )
        assert "no subscription with this id" in self.text(
            admin_client.get(f"{self.SUBSCRIPTIONS}x/", follow=True)
        )

    def test_subscriptions_are_listed_and_shown(self, admin_client, subscribed):
        for query in ({}, {"email": "ADA@example.com"}, {"status": "active"}):
            assert subscribed["id"] in self.text(admin_client.get(self.SUBSCRIPTIONS, query))
        assert "No subscription fits" in self.text(
            admin_client.get(self.SUBSCRIPTIONS, {"status": "canceled"})
        )
        page = self.text(admin_client.get(f"{self.SUBSCRIPTIONS}{subscribed['id']}/"))
        assert f"https://dashboard.stripe.com/test/subscriptions/{subscribed['id']}" in page

    def test_an_operator_does_what_the_permissions_say(self, client, failed):
        sign_in_operator(client, "payments.view_event")
        page = f"{self.EVENTS}{failed['id']}/"
        assert "Retry now" not in self.text(client.get(page))
        assert client.post(page, {"action": "retry:"}).status_code == 403
        assert client.get(self.SUBSCRIPTIONS).status_code == 403


class TestChecks:
    def ids(self):
        return [found.id for found in checks.check_payments()]

    def test_nothing_set_is_fine(self):
        assert self.ids() == []

    def test_what_does_not_go_together_is_found(self, settings):
        settings.STRIPE_SECRET_KEY = "pk_test_x"
        settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]
        assert self.ids() == ["payments.W002"]
        settings.STRIPE_SECRET_KEY = "sk_live_x"
        settings.STRIPE_API_BASE = "http://127.0.0.1:12111"
        assert self.ids() == ["payments.W003"]
        settings.STRIPE_API_BASE = ""
        settings.STRIPE_WEBHOOK_SECRETS = []
        assert self.ids() == ["payments.W001"]
        settings.STRIPE_WEBHOOK_SECRETS = ["whsec_x"]
        settings.COGLEX_PAYMENT_REDIRECTS = [
            "https://shop.example",
            "shop.example",
            "https://x.example/y",
        ]
        assert self.ids() == ["payments.E001"] * 2


@pytest.mark.parametrize(
    "more",
    [{"COGLEX_HTTPS": "on"}, {"STRIPE_SECRET_KEY": "sk_live_x", "STRIPE_WEBHOOK_SECRET": "x"}],
)
def test_the_standin_does_not_start_with_production_settings(tmp_path, more):
    ran = subprocess.run(
        [sys.executable, "manage.py", "stripe_standin"],
        cwd=ROOT,
        env=environment(tmp_path / "var", **more),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1
    assert "not for production" in ran.stderr


def test_nothing_that_serves_requests_imports_the_standin():
    script = "import django; django.setup(); import coglex_project.urls, sys; print([name for name in sys.modules if 'standin' in name])"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert ran.stdout.strip() == "[]", ran.stderr

"""Webhooks: who may send them, and that each is processed once, whatever happens meanwhile."""

from __future__ import annotations

import json
import random
import threading
import time
from datetime import timedelta

import pytest
from stripe import WebhookSignature

from core.errors import StripeUnavailable
from core.times import now
from payments import events, mirror, signals, worker
from payments.standin.params import Refused
from payments.standin.state import shown
from tests.conftest import assert_problem
from tests.core.data.test_failures import failing as database_failing
from tests.payments.conftest import BASE, CLUB, Payer


@pytest.fixture
def changed(standin, subscribed):
    """An event of a subscription that is past due by now."""
    standin.state.change_subscription(subscribed["id"], "past_due")
    return standin.emitted.pop()


def state_of(event):
    return events.get(event["id"])["state"]


def test_an_event_brings_the_mirror_up_to_date(api, standin, stripe_hook, changed):
    answer = stripe_hook.deliver(standin, changed)
    assert (answer.status_code, answer.json()) == (200, {"received": True, "duplicate": False})
    assert api.status(email="ada@example.com").json()["status"] == "past_due"
    record = events.get(changed["id"])
    assert (record["state"], record["attempts"], record["reason"]) == ("processed", 1, None)
    assert json.loads(record["raw"]) == changed


def test_what_the_event_says_is_not_what_counts(api, standin, stripe_hook, changed, subscribed):
    """Stripe is asked: an old event, or a forged object in a signed one, changes nothing."""
    standin.state.change_subscription(subscribed["id"], "active")
    stripe_hook.deliver(standin, changed)
    assert api.status(email="ada@example.com").json()["status"] == "active"


def test_a_duplicate_is_200_and_nothing_more(standin, stripe_hook, changed):
    stripe_hook.deliver(standin, changed)
    standin.requests.clear()
    for _ in range(3):
        answer = stripe_hook.deliver(standin, changed)
        assert (answer.status_code, answer.json()["duplicate"]) == (200, True)
    assert standin.requests == []
    assert events.get(changed["id"])["attempts"] == 1


class TestSignature:
    def test_without_one_it_is_400(self, stripe_hook, standin):
        assert_problem(stripe_hook.hook(b"{}"), 400, "invalid_signature")

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda body, signature: (body + b" ", signature),
            lambda body, signature: (body.replace(b"past_due", b"active  "), signature),
            lambda body, signature: (body, signature.replace("t=", "t=1")),
            lambda body, signature: (body, signature[:-1] + ("0" if signature[-1] != "0" else "1")),
            lambda body, signature: (body, "nonsense"),
            lambda body, signature: (body, "t=,v1="),
            lambda body, signature: (body, signature.replace("v1=", "v0=")),
            lambda body, signature: (b"\xff\xfe", signature),
        ],
    )
    def test_an_altered_one_is_400(self, standin, stripe_hook, changed, spoil):
        body, headers = standin.signed(changed)
        answer = stripe_hook.hook(*spoil(body, headers["Stripe-Signature"]))
        assert_problem(answer, 400, "invalid_signature")
        assert events.find(type_=changed["type"]) == []

    @pytest.mark.parametrize(("age", "status"), [(290, 200), (310, 400)])
    def test_an_old_one_is_400(self, standin, stripe_hook, changed, age, status):
        body = json.dumps(changed)
        signature = WebhookSignature.generate_signature_header(
            body, standin.secret, int(time.time()) - age
        )
        assert stripe_hook.hook(body.encode(), signature).status_code == status

    def test_any_of_several_secrets_will_do(self, standin, stripe_hook, changed, settings):
        settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", standin.secret]
        assert stripe_hook.deliver(standin, changed).status_code == 200
        settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new"]
        assert_problem(stripe_hook.deliver(standin, changed), 400, "invalid_signature")

    @pytest.mark.parametrize("payload", ["[]", "{", "7", '{"id": 7}', "{}", '{"id": null}'])
    def test_a_signed_body_that_is_no_event_is_400(self, standin, stripe_hook, payload):
        signature = WebhookSignature.generate_signature_header(payload, standin.secret)
        answer = stripe_hook.hook(payload.encode(), signature)
        assert_problem(answer, 400, "invalid_signature")

    @pytest.mark.parametrize(
        "data", [None, [], {"object": None}, {"object": []}, {"object": {"object": {}, "id": 7}}]
    )
    def test_an_event_of_another_form_is_kept_and_fails_no_request(
        self, standin, stripe_hook, data
    ):
        event = {"id": "evt_odd", "type": "odd", "livemode": False, "data": data}
        assert stripe_hook.deliver(standin, event).status_code == 200
        assert events.get("evt_odd")["state"] in {"processed", "failed"}

    def test_the_other_mode_is_refused(self, standin, stripe_hook, changed, settings):
        live = {**changed, "livemode": True}
        problem = assert_problem(stripe_hook.deliver(standin, live), 400, "invalid_signature")
        assert "mode" in problem["detail"]
        settings.STRIPE_SECRET_KEY = "sk_live_x"
        settings.STRIPE_API_BASE = "http://127.0.0.1:1"
        assert_problem(stripe_hook.deliver(standin, changed), 400, "invalid_signature")

    def test_without_a_secret_webhooks_are_503(self, standin, stripe_hook, changed, settings):
        settings.STRIPE_WEBHOOK_SECRETS = []
        assert_problem(stripe_hook.deliver(standin, changed), 503, "payments_not_configured")

    def test_an_api_key_is_not_looked_at(self, standin, changed):
        assert Payer(key="wrong").deliver(standin, changed).status_code == 200

    def test_a_body_over_the_limit_is_413(self, stripe_hook, standin, settings):
        settings.COGLEX_MAX_BODY_BYTES = 100
        assert_problem(stripe_hook.hook(b"x" * 101, "t=1,v1=x"), 413, "body_too_large")


class TestFailures:
    def test_a_failure_is_kept_with_its_reason_and_tried_again_later(
        self, api, standin, stripe_hook, changed
    ):
        standin.fail("500", times=2, path="/v1/subscriptions/")
        before = now()
        assert stripe_hook.deliver(standin, changed).status_code == 200
        record = events.get(changed["id"])
        assert (record["state"], record["attempts"]) == ("failed", 1)
        assert record["reason"].startswith("stripe_unavailable: ")
        assert events.due() == []
        wait = record["next_attempt_at"].replace(tzinfo=before.tzinfo) - before
        assert timedelta(seconds=4) < wait < timedelta(seconds=30)
        assert not events.process(changed["id"])
        due_now(changed)
        assert events.due() == [changed["id"]]
        assert events.process(changed["id"])
        assert api.status(email="ada@example.com").json()["status"] == "past_due"

    def test_each_failure_doubles_the_pause(self, standin, stripe_hook, changed, monkeypatch):
        monkeypatch.setattr("payments.events.mirror.refresh", fail)
        stripe_hook.deliver(standin, changed)
        pauses = []
        for _ in range(15):
            due_now(changed)
            before = now().replace(tzinfo=None)
            events.process(changed["id"])
            pauses.append((events.get(changed["id"])["next_attempt_at"] - before).total_seconds())
        assert [round(pause) for pause in pauses[:4]] == [10, 20, 40, 80]
        assert round(pauses[-1]) == 6 * 3600

    def test_a_claim_whose_holder_died_is_taken_over(self, standin, stripe_hook, changed):
        body, headers = standin.signed(changed)
        events.receive(payload=body, signature=headers["Stripe-Signature"])
        assert events._claim(changed["id"], at_once=False)
        assert not events.process(changed["id"])
        assert events.due() == []
        over = {"$set": {"lease_until": now() - timedelta(seconds=1)}}
        events.events.update({"_id": changed["id"]}, over)
        assert events.due() == [changed["id"]]
        assert events.process(changed["id"])
        assert events.get(changed["id"])["attempts"] == 2

    def test_a_holder_that_was_overtaken_changes_nothing(self, standin, changed, monkeypatch):
        body, headers = standin.signed(changed)
        events.receive(payload=body, signature=headers["Stripe-Signature"])

        def overtaken(event, claimed):
            over = {"$set": {"lease_until": now() - timedelta(seconds=1)}}
            events.events.update({"_id": changed["id"]}, over)
            monkeypatch.undo()
            assert events.process(changed["id"])
            raise StripeUnavailable

        monkeypatch.setattr("payments.events._apply", overtaken)
        assert not events.process(changed["id"])
        assert state_of(changed) == "processed"

    def test_the_worker_processes_what_is_due(self, standin, changed, settings):
        body, headers = standin.signed(changed)
        events.receive(payload=body, signature=headers["Stripe-Signature"])
        key, settings.STRIPE_SECRET_KEY = settings.STRIPE_SECRET_KEY, ""
        worker.process_due()
        assert state_of(changed) == "received"
        settings.STRIPE_SECRET_KEY = key
        worker.process_due()
        assert state_of(changed) == "processed"


def fail(*_, **__):
    raise StripeUnavailable


def due_now(event):
    events.events.update({"_id": event["id"]}, {"$set": {"next_attempt_at": now()}})


@pytest.mark.usefixtures("standin", "changed")
class TestDatabase:
    """The database fails: Stripe is told so, and sends the event again."""

    def test_an_event_that_cannot_be_stored_is_refused_and_taken_later(
        self, standin, stripe_hook, changed
    ):
        with database_failing("insert", errorCode=14031):
            answer = stripe_hook.deliver(standin, changed)
        assert_problem(answer, 503, "database_unavailable")
        assert stripe_hook.deliver(standin, changed).json()["duplicate"] is False
        assert state_of(changed) == "processed"

    def test_one_that_is_stored_is_processed_later(self, standin, stripe_hook, changed):
        with database_failing("findAndModify", errorCode=14031):
            assert stripe_hook.deliver(standin, changed).status_code == 200
        assert state_of(changed) == "received"
        assert events.due() == [changed["id"]]
        assert events.process(changed["id"])


@pytest.mark.parametrize("param", ["id", "invoice", None])
def test_what_stripe_has_no_more_is_gone_whatever_the_parameter_is_called(
    standin, subscribed, monkeypatch, param
):
    def gone(*_):
        raise Refused("No such invoice", status=404, code="resource_missing", param=param)

    monkeypatch.setattr("payments.standin.server.route", gone)
    assert mirror.refresh("invoice", subscribed["latest_invoice"]) is None
    assert mirror.by_id("invoice", subscribed["latest_invoice"])["deleted"]


class TestOrder:
    def test_an_answer_that_is_older_than_what_is_kept_is_dropped(self, standin, subscribed):
        object_id = subscribed["id"]
        first = mirror.take_ticket("subscription", object_id)
        second = mirror.take_ticket("subscription", object_id)
        old, new = (
            {**shown(subscribed), "status": "past_due"},
            {**shown(subscribed), "status": "canceled"},
        )
        assert mirror.keep("subscription", new, second)
        assert not mirror.keep("subscription", old, first)
        assert mirror.by_id("subscription", object_id)["status"] == "canceled"

    def test_events_in_any_order_and_at_once_end_at_what_stripe_has(self, standin, api):
        for number in range(4):
            session = api.checkout(
                mode="subscription", line_items=[CLUB], email=f"u{number}@example.com"
            ).json()
            standin.state.pay(session["id"])
        subscriptions = standin.state.all("subscription")
        for _ in range(30):
            one = random.choice(subscriptions)
            status = random.choice(["active", "past_due", "unpaid", "paused"])
            standin.state.change_subscription(one["id"], status)
        sent = standin.emitted * 2
        random.shuffle(sent)
        parts = [sent[start::8] for start in range(8)]

        def client(part):
            for event in part:
                assert Payer(key="").deliver(standin, event).status_code == 200

        threads = [threading.Thread(target=client, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in subscriptions:
            assert mirror.by_id("subscription", one["id"])["object"] == shown(one)
        kept = events.find(limit=1000)
        assert len(kept) == len(standin.emitted)
        assert {each["state"] for each in kept} == {"processed"}
        assert {each["attempts"] for each in kept} == {1}

    def test_a_subscription_is_found_by_an_email_that_comes_later(self, standin, api, stripe_hook):
        session = api.checkout(mode="subscription", line_items=[CLUB], email="a@example.com").json()
        standin.state.pay(session["id"])
        mirror.objects.delete_all({"kind": "customer"})
        kept = [each for each in standin.emitted if each["type"] != "customer.created"]
        standin.emitted[:] = kept
        stripe_hook.deliver_all(standin)
        assert api.status(email="a@example.com").json()["status"] == "none"
        mirror.refresh("customer", session["customer"])
        assert api.status(email="a@example.com").json()["status"] == "active"


class TestSignals:
    @pytest.fixture
    def heard(self):
        calls = []

        def receiver(sender, event, stripe_object, **_):
            status = mirror.by_id("subscription", stripe_object["id"])["status"]
            calls.append((event["type"], stripe_object["status"], status))

        signals.subscription_updated.connect(receiver)
        yield calls
        signals.subscription_updated.disconnect(receiver)

    def test_a_receiver_hears_what_is_in_the_mirror_by_then(
        self, standin, stripe_hook, changed, heard
    ):
        stripe_hook.deliver(standin, changed)
        stripe_hook.deliver(standin, changed)
        assert heard == [("customer.subscription.updated", "past_due", "past_due")]

    def test_a_receiver_of_all_hears_of_what_is_not_mirrored_too(self, standin, stripe_hook):
        calls = []

        def receiver(sender, event, stripe_object, **_):
            calls.append((event["type"], stripe_object))

        signals.any_event.connect(receiver)
        try:
            event = {
                "id": "evt_x",
                "type": "price.created",
                "livemode": False,
                "data": {"object": {"object": "price", "id": "price_x"}},
            }
            stripe_hook.deliver(standin, event)
        finally:
            signals.any_event.disconnect(receiver)
        assert calls == [("price.created", None)]

    def test_a_receiver_that_raises_is_called_again(self, standin, stripe_hook, changed):
        calls = []

        def receiver(sender, event, stripe_object, **_):
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("not yet")

        signals.subscription_updated.connect(receiver)
        try:
            stripe_hook.deliver(standin, changed)
            record = events.get(changed["id"])
            assert (record["state"], record["reason"]) == ("failed", "RuntimeError: not yet")
            assert events.retry(event_id=changed["id"], by="test")
        finally:
            signals.subscription_updated.disconnect(receiver)
        assert len(calls) == 2

    def test_a_slow_receiver_does_not_hold_the_answer(
        self, standin, stripe_hook, changed, monkeypatch
    ):
        monkeypatch.setattr("payments.worker._MOST_AWAITED_SECONDS", 0.05)
        go = threading.Event()

        def receiver(sender, event, stripe_object, **_):
            go.wait(20)

        signals.subscription_updated.connect(receiver)
        try:
            assert stripe_hook.deliver(standin, changed).status_code == 200
            assert state_of(changed) == "processing"
        finally:
            go.set()
            signals.subscription_updated.disconnect(receiver)


def test_the_payload_is_in_no_log(standin, stripe_hook, changed, capfd):
    changed["data"]["object"]["customer_email"] = "secret@example.com"
    standin.fail("500", times=2, path="/v1/subscriptions/")
    stripe_hook.deliver(standin, changed)
    out, err = capfd.readouterr()
    assert "event_failed" in out + err
    assert "secret@example.com" not in out + err
    assert "sk_test" not in out + err


def test_the_webhook_answers_at_its_path_without_the_slash(standin, changed):
    body, headers = standin.signed(changed)
    answer = Payer(key="").generic(
        "POST", f"{BASE}/webhook", body, content_type="application/json", headers=headers
    )
    assert answer.status_code == 200

"""Checkout: what is asked of Stripe, what is refused before, and that nothing is made twice."""

from __future__ import annotations

import threading

import pytest

from core import audit
from payments import customers, mirror
from payments.standin.state import shown
from tests.accounts.conftest import Person
from tests.conftest import assert_problem
from tests.payments.conftest import BASE, CLUB, TEA, URLS, Payer


def test_the_answer_is_stripes_session(api, standin):
    answer = api.checkout(metadata={"order": "7"}, currency="EUR")
    (session,) = standin.state.all("checkout.session")
    assert answer.status_code == 201
    assert answer.json() == shown(session)
    assert session["url"] == f"{standin.url}/pay/{session['id']}"
    assert session["metadata"] == {"order": "7"}
    assert (session["amount_total"], session["currency"]) == (450, "eur")
    assert mirror.by_id("checkout.session", session["id"])["object"] == answer.json()
    (entry,) = audit.find(action="payment.checkout")
    assert (entry["target"], entry["principal"]) == (session["id"], "bootstrap")


def test_what_stripe_is_asked_is_exact(api, standin):
    standin.state.objects["price_x"] = {
        **standin.state.create_price({"currency": "eur", "unit_amount": 100}),
        "id": "price_x",
    }
    api.checkout(
        line_items=[{"price": "price_x", "quantity": 3}, TEA],
        payment_method_types=["card", "sepa_debit"],
    )
    method, path, params = standin.requests[-1]
    assert (method, path) == ("POST", "/v1/checkout/sessions")
    assert params == {
        "mode": "payment",
        **URLS,
        "line_items": {
            "0": {"quantity": "3", "price": "price_x"},
            "1": {
                "quantity": "1",
                "price_data": {
                    "currency": "eur",
                    "unit_amount": "450",
                    "product_data": {"name": "Tea"},
                },
            },
        },
        "allowed_payment_method_types": {"0": "card", "1": "sepa_debit"},
    }


def test_linedata_is_taken_for_line_items(api, standin):
    body = {"mode": "payment", "linedata": [TEA], **URLS}
    assert api.send("POST", f"{BASE}/checkout", body).status_code == 201
    both = {**body, "line_items": [TEA]}
    assert_problem(api.send("POST", f"{BASE}/checkout", both), 400, "invalid_request")


@pytest.mark.parametrize(
    ("mode", "items"), [("payment", [TEA]), ("subscription", [CLUB]), ("setup", None)]
)
def test_every_mode_is_made(api, standin, mode, items):
    extra = {"currency": "eur"} if mode == "setup" else {}
    answer = api.checkout(mode=mode, line_items=items, **extra)
    assert (answer.status_code, answer.json()["mode"]) == (201, mode)


PRICE = TEA["price_data"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"mode": "gift"}, "/mode"),
        ({"mode": ["payment"]}, "/mode"),
        ({"mode": None}, "/mode"),
        ({"line_items": []}, "/line_items"),
        ({"line_items": None}, "/line_items"),
        ({"line_items": {}}, "/line_items"),
        ({"line_items": [TEA] * 101}, "/line_items"),
        ({"line_items": [7]}, "/line_items/0"),
        ({"line_items": [{}]}, "/line_items/0"),
        ({"line_items": [{**TEA, "price": "price_x"}]}, "/line_items/0"),
        ({"line_items": [TEA, {"price": "a/b"}]}, "/line_items/1/price"),
        ({"line_items": [{"price": {"$ne": 1}}]}, "/line_items/0/price"),
        ({"line_items": [{**TEA, "quantity": 0}]}, "/line_items/0/quantity"),
        ({"line_items": [{**TEA, "quantity": 1.5}]}, "/line_items/0/quantity"),
        ({"line_items": [{**TEA, "quantity": True}]}, "/line_items/0/quantity"),
        ({"line_items": [{**TEA, "tax_rates": []}]}, "/line_items/0/tax_rates"),
        (
            {"line_items": [{"price_data": {**PRICE, "unit_amount": 4.5}}]},
            "/line_items/0/price_data/unit_amount",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "unit_amount": -1}}]},
            "/line_items/0/price_data/unit_amount",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "unit_amount": "450"}}]},
            "/line_items/0/price_data/unit_amount",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "unit_amount": 10**9}}]},
            "/line_items/0/price_data/unit_amount",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "currency": "euro"}}]},
            "/line_items/0/price_data/currency",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "product": "prod_x"}}]},
            "/line_items/0/price_data",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "product_data": {}}}]},
            "/line_items/0/price_data/product_data/name",
        ),
        (
            {"line_items": [{"price_data": {**PRICE, "product_data": {"name": ""}}}]},
            "/line_items/0/price_data/product_data/name",
        ),
        ({"line_items": [CLUB]}, "/line_items/0/price_data/recurring"),
        ({"mode": "subscription"}, "/line_items/0/price_data/recurring"),
        ({"mode": "setup"}, "/line_items"),
        ({"currency": "e1r"}, "/currency"),
        ({"payment_method_types": "card"}, "/payment_method_types"),
        ({"payment_method_types": ["Card!"]}, "/payment_method_types/0"),
        ({"metadata": []}, "/metadata"),
        ({"metadata": {"a": 1}}, "/metadata/a"),
        ({"metadata": {"x" * 41: "1"}}, "/metadata"),
        ({"metadata": {"a[b]": "1"}}, "/metadata"),
        ({"metadata": {str(n): "x" for n in range(51)}}, "/metadata"),
        ({"metadata": {"a": "x" * 501}}, "/metadata/a"),
        ({"email": "ada"}, "/email"),
        ({"email": "ada@example.com\nBcc: x@y.z"}, "/email"),
        ({"email": {"$gt": ""}}, "/email"),
        ({"success_url": None}, "/success_url"),
        ({"customer": "cus_x"}, "/customer"),
        ({"discounts": []}, "/discounts"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_refused_before_stripe_sees_it(api, standin, change, pointer):
    problem = assert_problem(api.checkout(**change), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer
    assert standin.requests == []


@pytest.mark.parametrize("body", [[], "x", 7, b"{"])
def test_a_body_that_is_no_object_is_refused(api, standin, body):
    assert api.send("POST", f"{BASE}/checkout/", body).status_code == 400


class TestRedirects:
    @pytest.mark.parametrize(
        "url",
        [
            "http://shop.example/ok",
            "http://localhost/ok",
            "ftp://shop.example/ok",
            "ws://shop.example/ok",
            "//shop.example/ok",
        ],
    )
    def test_only_https_is_taken(self, api, standin, url):
        problem = assert_problem(api.checkout(success_url=url), 400, "redirect_not_allowed")
        assert problem["errors"][0]["pointer"] == "/success_url"

    @pytest.mark.parametrize(
        "url",
        [
            "javascript:alert(1)",
            "/ok",
            "https://",
            "https:///ok",
            "https://shop.example@evil.example/",
            "https://evil.example\\@shop.example/",
            "https://shop.example/a b",
            "https://shop.example/\r\nX: y",
            "https://shop.example:x/",
            "https://sh\u00f6p.example/",
            "https://[::1/",
            "data:text/html,x",
            "https://shop.example/" + "x" * 3000,
            7,
            ["https://shop.example"],
        ],
        ids=lambda url: str(url)[:30],
    )
    def test_what_is_no_address_is_refused(self, api, standin, url):
        problem = assert_problem(api.checkout(cancel_url=url), 400, "invalid_request")
        assert problem["errors"][0]["pointer"] == "/cancel_url"
        assert standin.requests == []

    def test_the_operators_list_counts(self, api, standin, settings):
        settings.COGLEX_PAYMENT_REDIRECTS = ["https://shop.example"]
        assert api.checkout().status_code == 201
        good = ["https://SHOP.example:443/x", "https://shop.example/?s={CHECKOUT_SESSION_ID}"]
        for url in good:
            assert api.checkout(success_url=url).status_code == 201
        for url in (
            "https://evil.example/",
            "https://shop.example.evil.example/",
            "https://shop.example:8443/",
            "https://www.shop.example/",
        ):
            assert_problem(api.checkout(success_url=url), 400, "redirect_not_allowed")

    def test_localhost_will_do_in_debug(self, api, standin, settings):
        settings.DEBUG = True
        for url in ("http://localhost:3000/ok", "http://127.0.0.1/ok", "http://[::1]:80/ok"):
            assert api.checkout(success_url=url).status_code == 201
        answer = api.checkout(success_url="http://shop.example/ok")
        assert_problem(answer, 400, "redirect_not_allowed")


class TestPrices:
    def test_where_prices_are_fixed_clients_choose_none(self, api, standin, settings):
        settings.COGLEX_PAYMENT_PRICES = ["price_x"]
        made = standin.state.create_price({"currency": "eur", "unit_amount": 100})
        standin.state.objects["price_x"] = {**made, "id": "price_x"}
        assert api.checkout(line_items=[{"price": "price_x"}]).status_code == 201
        problem = assert_problem(
            api.checkout(line_items=[{"price": made["id"]}]), 400, "price_not_allowed"
        )
        assert problem["errors"][0]["pointer"] == "/line_items/0/price"
        for items in ([TEA], [{"price": "price_x"}, TEA]):
            assert_problem(api.checkout(line_items=items), 400, "price_not_allowed")
        assert_problem(api.subscribe(), 400, "price_not_allowed")


class TestCustomers:
    def test_one_email_is_one_customer(self, api, standin):
        for email in ("Ada@example.com", " ada@EXAMPLE.com "):
            assert api.checkout(email=email).status_code == 201
        (customer,) = standin.state.all("customer")
        sessions = standin.state.all("checkout.session")
        assert {each["customer"] for each in sessions} == {customer["id"]}
        assert customer["email"] == "ada@example.com"

    def test_one_that_stripe_has_already_is_found(self, api, standin):
        with standin.state.lock:
            first = standin.state.create_customer({"email": "Ada@example.com"})
            standin.state.create_customer({"email": "ada@example.com"})
        assert api.checkout(email="Ada@example.com").json()["customer"] == first["id"]
        assert len(standin.state.all("customer")) == 2

    def test_many_at_once_make_one(self, standin):
        statuses = []

        def one(number):
            email = "ada@example.com" if number % 2 else "ADA@example.com"
            statuses.append(Payer().checkout(email=email).status_code)

        threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [201] * 8
        assert len(standin.state.all("customer")) == 1

    def test_one_that_was_deleted_at_stripe_is_made_anew(self, api, standin, stripe_hook):
        first = api.checkout(email="ada@example.com").json()["customer"]
        with standin.state.lock:
            standin.state.delete_customer(first)
            del standin.state.objects[first]
        second = api.checkout(email="ada@example.com").json()["customer"]
        assert second != first
        assert api.checkout(email="ada@example.com").json()["customer"] == second

    def test_its_deletion_is_noticed(self, api, standin, stripe_hook):
        first = api.checkout(email="ada@example.com").json()["customer"]
        standin.state.delete_customer(first)
        stripe_hook.deliver_all(standin)
        assert customers.customers.get({"_id": "ada@example.com"})["customer"] is None
        assert api.checkout(email="ada@example.com").json()["customer"] != first

    def test_without_an_email_there_is_none(self, api, standin):
        assert api.checkout().json()["customer"] is None
        assert standin.state.all("customer") == []

    @pytest.mark.django_db
    def test_whoever_is_signed_in_is_the_customer(self, standin, people):
        person = Person("header", people)
        person.sign_up("ada@example.com")
        user = person.sign_in("ada@example.com").json()
        body = {"mode": "payment", "line_items": [TEA], **URLS}
        session = person.send("POST", f"{BASE}/checkout/", body).json()
        assert session["client_reference_id"] == user["_id"]
        assert standin.state.get("customer", session["customer"])["email"] == "ada@example.com"
        held = customers.customers.get({"_id": "ada@example.com"})
        assert held["users"] == [user["_id"]]


class TestFailures:
    @pytest.mark.parametrize("mode", ["500", "429", "drop", "lost"])
    def test_one_failure_is_tried_again_and_nothing_is_made_twice(self, api, standin, mode):
        standin.fail(mode, path="/v1/checkout/sessions")
        assert api.checkout().status_code == 201
        assert len(standin.state.all("checkout.session")) == 1

    @pytest.mark.parametrize("mode", ["500", "429", "drop", "lost"])
    def test_more_are_502_and_the_clients_own_repetition_makes_one(self, api, standin, mode):
        standin.fail(mode, times=2, path="/v1/checkout/sessions")
        key = {"Idempotency_Key": f"a-{mode}-{standin.url}"}
        assert_problem(api.checkout(key), 502, "stripe_unavailable")
        again = api.checkout(key)
        assert again.status_code == 201
        assert [each["id"] for each in standin.state.all("checkout.session")] == [
            again.json()["id"]
        ]

    def test_a_repetition_gets_the_first_answer(self, api, standin):
        key = {"Idempotency_Key": f"b-{standin.url}"}
        first, again = api.checkout(key), api.checkout(key)
        assert again.content == first.content
        assert again["Idempotent-Replayed"] == "true"
        assert len(standin.state.all("checkout.session")) == 1
        assert_problem(api.checkout(key, currency="usd"), 422, "idempotency_key_reused")

    @pytest.mark.django_db
    def test_keys_of_different_clients_are_different(self, api, api_with, standin):
        key = {"Idempotency_Key": f"c-{standin.url}"}
        other = Payer(api_with("payment:*").key)
        assert api.checkout(key).json()["id"] != other.checkout(key).json()["id"]

    def test_a_double_click_makes_one(self, standin):
        key, answers = {"Idempotency_Key": f"d-{standin.url}"}, []
        threads = [
            threading.Thread(target=lambda: answers.append(Payer().checkout(key))) for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len(standin.state.all("checkout.session")) == 1

    def test_stripes_refusal_is_400_with_what_it_says(self, api, standin):
        problem = assert_problem(
            api.checkout(line_items=[{"price": "price_none"}]), 400, "payment_refused"
        )
        assert problem["detail"] == "No such price: 'price_none'"
        assert problem["stripe"] == {
            "message": "No such price: 'price_none'",
            "param": "line_items[0][price]",
            "code": "resource_missing",
        }

    def test_a_declined_card_is_402(self, api, standin, monkeypatch):
        from payments.standin.params import Refused

        def declined(*_):
            raise Refused(
                "Your card was declined.", status=402, type_="card_error", code="card_declined"
            )

        monkeypatch.setattr(
            "payments.standin.server._CREATE",
            {"/v1/checkout/sessions": (dict, declined)},
        )
        monkeypatch.setattr("payments.standin.server.checked", lambda given, kind: given)
        problem = assert_problem(api.checkout(), 402, "card_declined")
        assert problem["stripe"]["code"] == "card_declined"

    def test_a_key_that_stripe_does_not_take_is_503(self, api, standin, settings):
        settings.STRIPE_SECRET_KEY = "sk_wrong"
        answer = api.checkout()
        assert_problem(answer, 503, "payments_not_configured")
        assert "sk_wrong" not in answer.content.decode()

    def test_without_a_key_every_route_is_503(self, api):
        for answer in (
            api.checkout(),
            api.subscribe(),
            api.status(email="a@b.c"),
            api.hook(b"{}", "x"),
        ):
            assert_problem(answer, 503, "payments_not_configured")
            assert answer["Retry-After"]


class TestScopes:
    pytestmark = pytest.mark.django_db

    def test_each_route_needs_its_scope(self, api_with, standin):
        reader, writer = Payer(api_with("payment:read").key), Payer(api_with("payment:write").key)
        assert reader.status(email="a@b.c").status_code == 200
        assert_problem(writer.status(email="a@b.c"), 403, "insufficient_scope")
        for answer in (reader.checkout(), reader.subscribe()):
            assert_problem(answer, 403, "insufficient_scope")
        assert writer.checkout().status_code == 201

    def test_without_a_key_there_is_only_the_webhook(self, stripe_hook, standin):
        for answer in (
            stripe_hook.checkout(),
            stripe_hook.subscribe(),
            stripe_hook.status(email="a@b.c"),
        ):
            assert_problem(answer, 401, "missing_api_key")


@pytest.mark.parametrize(
    ("route", "allowed"),
    [("checkout", "POST"), ("subscription", "GET, POST, HEAD"), ("webhook", "POST")],
)
def test_other_methods_are_405(api, route, allowed):
    answer = api.send("PUT", f"{BASE}/{route}/", {})
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == allowed

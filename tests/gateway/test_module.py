"""The example module: orders of customers, and what runs out."""

from __future__ import annotations

import pytest

from core import audit
from core.data.documents import new_key
from gateway.module import services
from tests.accounts.conftest import PASSWORD, Person
from tests.conftest import assert_problem

pytestmark = pytest.mark.django_db
ORDERS, STOCK = "/gateway/module/orders/", "/gateway/module/stock/"


@pytest.fixture
def shop():
    """Two products, and no orders."""
    documents = services.coglex.documents
    documents.put(services.PRODUCTS, "tea", {"name": "Darjeeling", "price": 4.5, "stock": 5})
    documents.put(services.PRODUCTS, "cup", {"name": "Cup", "price": 12, "stock": 50})
    yield documents
    documents.delete_all(services.PRODUCTS, {})
    documents.delete_all(services.ORDERS, {})


@pytest.fixture(params=["cookie", "header"])
def customer(request):
    """Somebody who is signed in to the customers."""
    made = Person(request.param, "customers")
    key = f"ada-{request.param}@example.com"
    made.sign_up(key)
    assert made.sign_in(key, PASSWORD).status_code == 200
    return made


def order(client, product="tea", quantity=2, **headers):
    return client.send("POST", ORDERS, {"product": product, "quantity": quantity}, **headers)


def test_an_order_takes_from_the_stock_and_is_listed(shop, customer):
    made = order(customer)
    assert made.status_code == 201
    body = made.json()
    assert (body["product"], body["quantity"], body["price"]) == ("tea", 2, 9.0)
    assert shop.get(services.PRODUCTS, "tea")["stock"] == 3
    newer = order(customer, "cup", 1).json()
    assert customer.send("GET", ORDERS).json() == [newer, body]
    (entry,) = audit.find(action="gateway.module.order", target=body["_id"])
    assert (entry["principal"], entry["details"]["quantity"]) == ("gateway:module", 2)


def test_what_is_not_there_cannot_be_ordered_and_changes_nothing(shop, customer):
    assert_problem(order(customer, quantity=6), 422, "out_of_stock")
    assert_problem(order(customer, "car"), 404, "document_not_found")
    assert shop.get(services.PRODUCTS, "tea")["stock"] == 5
    assert shop.count(services.ORDERS) == 0


def test_a_double_click_orders_once(shop, customer):
    click = new_key()
    first = order(customer, Idempotency_Key=click)
    again = order(customer, Idempotency_Key=click)
    assert (again.json(), again["Idempotent-Replayed"]) == (first.json(), "true")
    assert shop.get(services.PRODUCTS, "tea")["stock"] == 3


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"product": "tea", "quantity": 0}, "/quantity"),
        ({"product": "tea", "quantity": True}, "/quantity"),
        ({"product": "tea", "quantity": {"$gt": 0}}, "/quantity"),
        ({"product": {"$ne": ""}, "quantity": 1}, "/product"),
        ({"product": "tea"}, "/quantity"),
        ({"product": "tea", "quantity": 1, "price": 0}, "/price"),
    ],
)
def test_what_is_no_order_is_refused(shop, customer, body, pointer):
    problem = assert_problem(customer.send("POST", ORDERS, body), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer


def test_customers_see_their_own_orders_only(shop, customer):
    order(customer)
    other = Person("header", "customers")
    other.sign_up("bob@example.com")
    other.sign_in("bob@example.com")
    assert other.send("GET", ORDERS).json() == []


def test_an_order_needs_the_key_and_the_session(shop, customer, api, api_with):
    assert_problem(order(api), 401, "not_signed_in")
    customer.key = ""
    assert_problem(order(customer), 401, "missing_api_key")
    customer.key = api_with("gateway/module:read").key
    assert_problem(order(customer), 403, "insufficient_scope")
    customer.key = api_with("gateway/module:*").key
    assert order(customer).status_code == 201


def test_what_runs_out_is_for_keys_with_the_scope(shop, api_with):
    reader = api_with("gateway/module:read")
    expected = [{"_id": "tea", "name": "Darjeeling", "stock": 5}]
    assert reader.send("GET", STOCK).json() == expected
    assert len(reader.send("GET", f"{STOCK}?below=51").json()) == 2
    assert_problem(reader.send("GET", f"{STOCK}?below=x"), 400, "invalid_parameter")
    assert_problem(api_with("storage:*").send("GET", STOCK), 403, "insufficient_scope")

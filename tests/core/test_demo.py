"""`manage.py demo` loads a shop, once, over nobody's data, and takes away just that."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command

from accounts import operations as users
from accounts import services as accounts
from accounts.demo import Users
from archive import operations as files
from archive import services as archive
from archive.demo import leaflet, picture
from archive.drafts import new_draft
from core import audit, demo
from core.data import client as data_client
from core.data import documents as store
from core.data.encoding import decode_document
from core.demo.shop import CUSTOMERS, PRODUCTS
from core.times import now
from payments import customers, events, mirror, operations, services
from payments.demo import Subscriptions
from payments.standin.server import Standin
from storage.demo import categories, orders, products

pytestmark = pytest.mark.django_db
SHOP = {
    "shop_customers": len(CUSTOMERS),
    "shop_categories": 5,
    "shop_products": 24,
    "shop_orders": 360,
    "files": 8,
    "subscriptions": 0,
}


def run(*args):
    out = io.StringIO()
    call_command("demo", args[0], "--json", *args[1:], stdout=out)
    return {each["name"]: each for each in json.loads(out.getvalue())}


def said(*args):
    out = io.StringIO()
    call_command("demo", *args, stdout=out)
    return out.getvalue()


def counts(found, what):
    return {name: each[what] for name, each in found.items()}


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    demo.remove(by="test", seen=lambda: None)
    for name in ("shop_categories", "shop_products", "shop_orders"):
        data_client.documents(name).drop()
    for kept in (audit.entries, mirror.objects, customers.customers, events.events):
        kept.delete_all({})


@pytest.fixture
def standin(settings):
    running = Standin()
    running.state.add_prices()
    running.start()
    settings.STRIPE_SECRET_KEY = "sk_test_standin"
    settings.STRIPE_API_BASE = running.url
    yield running
    running.stop()


def everything():
    """All that the demonstration could have touched."""
    return {
        "documents": {
            name: [dict(each) for each in data_client.documents(name).find()]
            for name in store.list_collections()
        },
        "users": users.records.users.find({}),
        "files": files.records.files.find({}),
        "mirror": mirror.objects.find({}),
    }


def test_it_loads_a_shop_and_a_second_time_changes_nothing():
    assert counts(run("load"), "made") == SHOP
    before = everything()
    assert counts(run("load"), "made") == dict.fromkeys(SHOP, 0)
    assert everything() == before
    assert "Everything was there; nothing was changed." in said("load")


def test_the_same_shop_comes_out_each_time():
    for make in (categories, products, orders):
        assert make() == make()
        for each in make():
            decode_document(each)
    assert picture(PRODUCTS[0]) == picture(PRODUCTS[0])
    assert len({each["_id"] for each in orders()}) == 360


def test_what_broke_off_is_completed(monkeypatch):
    made = accounts.sign_in
    told = []

    def breaks(**asked):
        told.append(asked)
        if len(told) == 4:
            raise KeyboardInterrupt
        return made(**asked)

    monkeypatch.setattr(accounts, "sign_in", breaks)
    with pytest.raises(KeyboardInterrupt):
        run("load")
    half = run("status")["shop_customers"]["there"]
    assert 0 < half < len(CUSTOMERS)
    monkeypatch.undo()
    assert run("load")["shop_customers"]["made"] == len(CUSTOMERS) - half
    assert counts(run("status"), "there") == SHOP
    assert counts(run("remove"), "removed") == SHOP


def test_what_was_deleted_comes_back():
    run("load")
    data_client.documents("shop_orders").delete_many({"status": "cancelled"})
    data_client.documents("shop_products").drop()
    found = run("load")
    assert found["shop_orders"]["made"] > 10
    assert found["shop_products"]["made"] == 24
    assert counts(found, "there") == SHOP


def test_it_is_removed_and_nothing_else():
    with new_draft() as draft:
        draft.write(b"mine\n")
        with archive.checked_file(
            draft=draft, filename="leaflet.pdf.txt", metadata={}, principal="me"
        ) as record:
            archive.add_file(record, principal="me")
    before = everything()
    run("load")
    data_client.documents("shop_orders").insert_one({"_id": "mine"})
    assert counts(run("remove", "--dry-run"), "would_remove") == SHOP
    assert counts(run("status"), "there") == SHOP
    assert counts(run("remove"), "removed") == SHOP
    assert everything() == {
        **before,
        "documents": {**before["documents"], "shop_orders": [{"_id": "mine"}]},
    }
    assert demo.ledger.find({}) == []
    assert counts(run("remove"), "removed") == dict.fromkeys(SHOP, 0)
    archive.delete_file(file_id=record["_id"], principal="me")


@pytest.mark.parametrize("empty", [False, True])
def test_a_collection_of_others_stops_it_before_anything_is_made(empty):
    collection = data_client.documents("shop_orders")
    if empty:
        data_client.documents_database().create_collection("shop_orders")
    else:
        collection.insert_one({"_id": "2026-00001", "total": 1})
    before = everything()
    with pytest.raises(
        CommandError, match="in shop_orders was not made by the demo; nothing was load"
    ):
        run("load")
    assert everything() == before
    assert counts(run("remove"), "removed") == dict.fromkeys(SHOP, 0)
    assert everything() == before


def test_users_of_others_stop_it():
    accounts.sign_up(
        collection="shop_customers",
        key=CUSTOMERS[0].email,
        password="seven tall mountains",
        document={},
        principal="me",
    )
    with pytest.raises(CommandError, match="in shop_customers was not made by the demo"):
        run("load")
    run("remove")
    assert [each["_key"] for each in _users()] == [CUSTOMERS[0].email]
    users.records.users.delete_all({"collection": "shop_customers"})


def _users():
    return [each["user"] for each in users.list_users(collection="shop_customers")]


def test_a_user_who_took_the_place_of_one_of_ours_stays():
    run("load")
    key = CUSTOMERS[0].email
    user_id = users.find_id(collection="shop_customers", key=key)
    users.delete_user(collection="shop_customers", user_id=user_id, by="me")
    accounts.sign_up(
        collection="shop_customers",
        key=key,
        password="seven tall mountains",
        document={},
        principal="me",
    )
    run("remove")
    assert [each["_key"] for each in _users()] == [key]
    users.records.users.delete_all({"collection": "shop_customers"})


def test_users_are_of_every_kind_and_nobody_knows_a_password():
    run("load")
    found = users.list_users(collection="shop_customers")
    assert sum(each["disabled"] for each in found) == 2
    assert sum(bool(each["sessions"]) for each in found) > 5
    written = audit.count_by_action(since=now() - timedelta(hours=1))
    assert written["auth.signup"] == {"success": len(CUSTOMERS)}
    assert written["auth.signin"]["failure"] == 4
    assert written["archive.upload"] == {"success": 8}
    assert written["storage.create_index"]["success"] == 7


def test_pictures_and_papers_are_what_they_say():
    run("load")
    found = {each["filename"]: each for each in files.find_files()}
    assert {each["content_type"] for each in found.values()} == {
        "image/png",
        "text/csv",
        "application/pdf",
    }
    assert found["prices-2026.csv"]["downloads"] == 12
    assert {verdict for _, verdict in files.verify()} == {"ok"}
    assert leaflet().index(b"xref") == int(leaflet().split(b"startxref\n")[1].split()[0])


def test_orders_are_found_by_their_indexes():
    run("load")
    plan = (
        data_client.documents("shop_orders")
        .find({"customer": CUSTOMERS[0].email})
        .sort("placed_at", -1)
        .explain()
    )
    assert "customer_1_placed_at_-1" in json.dumps(plan["queryPlanner"]["winningPlan"])


def test_payments_are_left_out_without_the_stand_in(settings):
    assert "left out: payments are not configured with the stand-in" in said("status")
    settings.STRIPE_SECRET_KEY = "sk_live_1"
    settings.STRIPE_API_BASE = "http://127.0.0.1:1"
    assert Subscriptions().left_out()
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = "sk_test_1", ""
    assert Subscriptions().left_out()


def test_with_the_stand_in_there_are_subscriptions(standin):
    assert run("load")["subscriptions"]["made"] == 8
    assert run("load")["subscriptions"]["made"] == 0
    assert operations.count_subscriptions(status="active") == 6
    assert operations.count_subscriptions(status="canceled") == 2
    found = services.subscription_status(field="email", value=CUSTOMERS[0].email)
    assert found["status"] == "active"
    assert run("remove")["subscriptions"]["removed"] == 8
    assert mirror.objects.find({}) == []
    assert customers.customers.find({}) == []
    # The stand-in has them still: nobody subscribes twice.
    assert run("load")["subscriptions"]["made"] == 8
    assert len(standin.state.all("subscription")) == 8


def test_a_stand_in_that_does_not_answer_is_one_sentence(settings):
    settings.STRIPE_SECRET_KEY = "sk_test_standin"
    settings.STRIPE_API_BASE = "http://127.0.0.1:1"
    settings.COGLEX_STRIPE_RETRIES = 0
    with pytest.raises(CommandError, match="Stripe"):
        run("load")
    assert run("status")["files"]["there"] == 8


def test_a_part_is_what_its_name_says():
    assert [part.name for part, _ in demo.survey()] == [
        "accounts",
        "storage",
        "archive",
        "payments",
    ]
    assert isinstance(next(demo.survey())[0], Users)

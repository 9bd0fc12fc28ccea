"""What modules may do with the services."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from core import audit
from core.errors import (
    DocumentNotFound,
    InvalidInput,
    MalwareDetected,
    OperatorNotAllowed,
    PaymentsNotConfigured,
    ReservedField,
    StoredFileNotFound,
    TypeNotAllowed,
    UserNotFound,
    WeakPassword,
)
from gateway.kit.interface import Coglex
from tests.accounts.conftest import PASSWORD, Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def coglex():
    return Coglex("gateway.shop.services")


@pytest.fixture
def people(coglex):
    yield "shop-people"
    from accounts.records import users

    users.delete_all({"collection": "shop-people"})


def test_it_belongs_to_a_module():
    with pytest.raises(ValueError, match="modules of the gateway"):
        Coglex("storage.services")


def test_documents_come_back_as_they_were_given(coglex, collection):
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    key = coglex.documents.insert(collection, {"at": moment, "n": 1})
    found = coglex.documents.get(collection, key)
    assert found["n"] == 1
    assert coglex.documents.put(collection, key, {**found, "n": 2}) is False
    assert coglex.documents.find(collection, {"at": {"$lte": moment}}, keys=["n"]) == [
        {"_id": key, "n": 2}
    ]
    assert coglex.documents.update(collection, key, {"$inc": {"n": 1}}) is True
    assert coglex.documents.update(collection, key, {"n": 3}) is False
    coglex.documents.delete(collection, key)
    with pytest.raises(DocumentNotFound):
        coglex.documents.get(collection, key)


def test_each_walks_over_all_of_them(coglex, collection, documents):
    documents.insert_many([{"_id": f"k{n:05}"} for n in range(2500)])
    walked = [each["_id"] for each in coglex.documents.each(collection, {"_id": {"$gt": "k00009"}})]
    assert walked == [f"k{n:05}" for n in range(10, 2500)]


def test_bulk_changes_are_audited_in_the_modules_name(coglex, collection):
    coglex.documents.batch(
        [{"op": "insert", "collection": collection, "documents": [{"n": n} for n in range(5)]}]
    )
    assert coglex.documents.update_all(collection, {"n": {"$gt": 1}}, {"$set": {"seen": True}}) == 3
    assert coglex.documents.aggregate(
        collection, [{"$match": {"seen": True}}, {"$count": "n"}]
    ) == [{"n": 3}]
    assert coglex.documents.delete_all(collection, {"seen": True}) == 3
    assert coglex.documents.count(collection) == 2
    for action in ("storage.update_many", "storage.delete_many"):
        assert audit.find(action=action, target=collection)[0]["principal"] == "gateway:shop"


def test_the_same_rules_hold_as_over_rest(coglex, collection):
    with pytest.raises(OperatorNotAllowed):
        coglex.documents.find(collection, {"$where": "1"})
    with pytest.raises(OperatorNotAllowed):
        coglex.documents.aggregate(collection, [{"$out": "x"}])
    with pytest.raises(InvalidInput):
        coglex.documents.get("system.users", "x")


def test_what_is_raised_in_a_transaction_undoes_it(coglex, collection):
    def work():
        coglex.documents.insert(collection, {"n": 1})
        raise DocumentNotFound

    with pytest.raises(DocumentNotFound):
        coglex.documents.transaction(work)
    assert coglex.documents.count(collection) == 0


def test_users_are_made_found_changed_and_shut_out(coglex, people):
    made = coglex.users.sign_up(people, "Ada@example.com", PASSWORD, {"name": "Ada"})
    assert coglex.users.get(people, "ada@EXAMPLE.com") == made
    coglex.users.set_fields(people, made["_id"], {"member": True})
    assert coglex.users.find(people, {"member": True}) == [{**made, "member": True}]
    browser = Person("header", people)
    browser.sign_in("ada@example.com")
    assert coglex.users.end_sessions(people, made["_id"]) == 1
    assert not browser.is_signed_in
    coglex.users.disable(people, made["_id"])
    assert browser.sign_in("ada@example.com").status_code == 401
    coglex.users.enable(people, made["_id"])
    assert browser.sign_in("ada@example.com").status_code == 200
    (entry, *_) = audit.find(action="auth.set_fields", principal="gateway:shop")
    assert entry["details"] == {"fields": ["member"]}


def test_users_keep_the_rules_of_a_sign_up(coglex, people):
    with pytest.raises(WeakPassword):
        coglex.users.sign_up(people, "ada@example.com", "12345678")
    made = coglex.users.sign_up(people, "ada@example.com", PASSWORD)
    for fields in ({"_id": "x"}, {"_key": "eve"}):
        with pytest.raises(ReservedField):
            coglex.users.set_fields(people, made["_id"], fields)
    with pytest.raises(UserNotFound):
        coglex.users.set_fields(people, "f" * 24, {"a": 1})
    assert "password" not in coglex.users.get(people, made["_id"])


def test_files_are_checked_kept_read_and_deleted(coglex):
    record = coglex.files.save(io.BytesIO(b"tea,4.5\n"), "prices.csv", {"shop": "main"})
    assert (record["content_type"], record["size"]) == ("text/csv", 8)
    with coglex.files.open(record["_id"]) as file:
        assert file.read() == b"tea,4.5\n"
    assert coglex.files.get(record["_id"]) in coglex.files.find({"metadata.shop": "main"})
    link = coglex.files.link(record["_id"], expires_in=60)
    assert f"/service/archive/v1/download/{record['_id']}/?" in link
    assert coglex.files.delete(record["_id"]) == record
    with pytest.raises(StoredFileNotFound):
        coglex.files.get(record["_id"])


def test_files_that_may_not_be_kept_are_refused(coglex):
    with pytest.raises((TypeNotAllowed, MalwareDetected)):
        coglex.files.save(io.BytesIO(b"#!/bin/sh\necho\n"), "a.txt")


def test_payments_say_that_they_are_not_set_up(coglex):
    with pytest.raises(PaymentsNotConfigured):
        coglex.payments.status(email="ada@example.com")
    with pytest.raises(InvalidInput, match="one of"):
        coglex.payments.status(email="a@example.com", customer="cus_1")


def test_the_audit_names_the_module(coglex):
    coglex.audit.record("refund", target="o1", principal="ada", outcome="failure", amount=3)
    (entry,) = audit.find(action="gateway.shop.refund")
    assert (entry["principal"], entry["outcome"]) == ("ada", "failure")
    assert entry["details"] == {"amount": 3}

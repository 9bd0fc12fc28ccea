"""The Idempotency-Key header on inserts and batches."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from core.data import idempotency
from core.data.client import internal
from tests.conftest import APIClient, assert_problem

ROOT = "/service/storage/v1/"


@pytest.fixture
def base(collection):
    return f"{ROOT}{collection}/"


def test_the_same_key_and_body_replay_the_first_answer(api, base, documents):
    first = api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    again = api.send("POST", base.rstrip("/"), {"n": 1}, Idempotency_Key="a")
    assert again.status_code == first.status_code == 201
    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert documents.count_documents({}) == 1


def test_a_batch_is_replayed_too(api, collection, documents):
    body = {"operations": [{"op": "insert", "collection": collection, "document": {}}]}
    first = api.send("POST", ROOT, body, Idempotency_Key=f"batch-{collection}")
    again = api.send("POST", ROOT, body, Idempotency_Key=f"batch-{collection}")
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert documents.count_documents({}) == 1


def test_another_body_is_refused(api, base, documents):
    api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    answer = api.send("POST", base, {"n": 2}, Idempotency_Key="a")
    assert_problem(answer, 422, "idempotency_key_reused")
    assert documents.count_documents({}) == 1


def test_another_route_is_another_request(api, base, collection):
    api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    other = api.send("POST", f"{ROOT}{collection}x/", {"n": 1}, Idempotency_Key="a")
    assert "Idempotent-Replayed" not in other


@pytest.mark.django_db
def test_another_principal_is_another_request(api, api_with, base, documents):
    api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    other = api_with("storage:write").send("POST", base, {"n": 1}, Idempotency_Key="a")
    assert "Idempotent-Replayed" not in other
    assert documents.count_documents({}) == 2


@pytest.mark.django_db
def test_a_key_that_may_not_write_gets_no_replay(api_with, base):
    writer = api_with("storage:write")
    writer.send("POST", base, {"n": 1}, Idempotency_Key="a")
    reader = api_with("storage:read")
    answer = reader.send("POST", base, {"n": 1}, Idempotency_Key="a")
    assert_problem(answer, 403, "insufficient_scope")


def test_a_refusal_is_replayed_as_well(api, base, documents):
    documents.insert_one({"_id": "k"})
    first = api.send("POST", base, {"_id": "k"}, Idempotency_Key="a")
    assert_problem(first, 409, "duplicate_key")
    documents.delete_one({"_id": "k"})
    again = api.send("POST", base, {"_id": "k"}, Idempotency_Key="a")
    assert (again.status_code, again.content) == (409, first.content)
    assert again["Content-Type"] == "application/problem+json"
    assert again["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", "a b", "é", "k" * 256, "a\tb"])
def test_a_key_is_visible_ascii_of_bounded_length(api, base, documents, key):
    answer = api.send("POST", base, {}, Idempotency_Key=key)
    problem = assert_problem(answer, 400, "invalid_parameter")
    assert problem["errors"][0]["parameter"] == "Idempotency-Key"
    assert documents.count_documents({}) == 0


def test_while_the_first_runs_the_second_is_told_so(api, base, monkeypatch):
    from storage import services

    entered, proceed = threading.Event(), threading.Event()
    insert = services.insert_document

    def slow(**kwargs):
        entered.set()
        assert proceed.wait(10)
        return insert(**kwargs)

    monkeypatch.setattr(services, "insert_document", slow)
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(APIClient().send("POST", base, {"n": 1}, Idempotency_Key="a"))
    )
    first.start()
    assert entered.wait(10)
    answer = api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    proceed.set()
    first.join()
    assert_problem(answer, 409, "idempotency_in_flight")
    assert answers[0].status_code == 201


def test_of_many_at_once_one_runs(base, documents):
    barrier = threading.Barrier(12)
    answers = []

    def call():
        barrier.wait()
        answers.append(APIClient().send("POST", base, {"n": 1}, Idempotency_Key="a"))

    threads = [threading.Thread(target=call) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert documents.count_documents({}) == 1


def test_a_failure_of_the_server_can_be_tried_again(api, base, documents, monkeypatch):
    from core.errors import DatabaseUnavailable
    from storage import services

    def fail(**kwargs):
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(services, "insert_document", fail)
        answer = api.send("POST", base, {"n": 1}, Idempotency_Key="a")
        assert_problem(answer, 503, "database_unavailable")
    again = api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    assert again.status_code == 201
    assert "Idempotent-Replayed" not in again


def test_what_a_dead_process_claimed_is_taken_over_after_its_lease(api, base, documents):
    held = idempotency.claim(principal="bootstrap", route=base, key="a", body=b'{"n":1}')
    answer = api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    assert_problem(answer, 409, "idempotency_in_flight")
    internal("idempotency").update_one(
        {"_id": held.id}, [{"$set": {"started_at": {"$subtract": ["$started_at", 61_000]}}}]
    )
    assert api.send("POST", base, {"n": 1}, Idempotency_Key="a").status_code == 201
    assert documents.count_documents({}) == 1
    with pytest.raises(idempotency.IdempotencyInFlight):
        idempotency.store(held, idempotency.StoredAnswer(200, {}, b""))


def test_answers_are_kept_for_a_day(api, base, documents):
    api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    record = internal("idempotency").find_one(sort=[("started_at", -1)])
    assert record["expires_at"] - record["started_at"] == timedelta(hours=24)
    internal("idempotency").update_one(
        {"_id": record["_id"]}, [{"$set": {"expires_at": {"$subtract": ["$$NOW", 1]}}}]
    )
    again = api.send("POST", base, {"n": 1}, Idempotency_Key="a")
    assert "Idempotent-Replayed" not in again
    assert documents.count_documents({}) == 2

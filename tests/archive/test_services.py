"""Keeping files: quotas, repetitions, failures, scopes, lists, deleting."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from hashlib import sha256

import pytest

from archive import operations, records, services, stores
from archive.drafts import incoming
from archive.records import files
from core import audit
from core.data import idempotency
from core.data.client import internal
from core.errors import DatabaseUnavailable, StoreUnavailable
from core.times import now
from tests.archive.conftest import (
    BASE,
    Uploader,
    failing,
    nothing_is_kept,
)
from tests.archive.samples import png
from tests.conftest import assert_problem
from tests.core.data.test_failures import failing as database_failing


class TestQuota:
    def test_a_key_may_hold_so_many_files(self, api, settings):
        settings.COGLEX_ARCHIVE_FILES_PER_KEY = 2
        first = api.kept()
        api.kept()
        assert_problem(api.upload(), 422, "quota_exceeded")
        assert len(list(stores.stored_ids())) == 2
        api.delete_file(first["_id"])
        assert api.upload().status_code == 201

    @pytest.mark.django_db
    def test_a_key_may_hold_so_many_bytes(self, api, api_with, settings):
        api.kept(b"x" * 60)
        settings.COGLEX_ARCHIVE_BYTES_PER_KEY = 100
        assert_problem(api.upload(b"x" * 41), 422, "quota_exceeded")
        assert api.upload(b"x" * 40).status_code == 201
        assert api_with("archive:*").upload(b"x" * 100).status_code == 201
        held = sorted(owner["size"] for owner in records.owners.find({}))
        assert held == [40, 60, 100]

    def test_uploads_at_once_do_not_slip_past_it(self, settings):
        settings.COGLEX_ARCHIVE_FILES_PER_KEY = 3
        statuses = []

        def one():
            statuses.append(Uploader().upload().status_code)

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(201) == 3
        assert set(statuses) <= {201, 422, 503}
        assert len(files.find({})) == len(list(stores.stored_ids())) == 3


class TestIdempotency:
    def test_a_repetition_gets_the_first_answer(self, api, store):
        first = api.upload(metadata={"n": 1}, Idempotency_Key=f"a-{store}")
        again = api.upload(metadata={"n": 1}, Idempotency_Key=f"a-{store}")
        assert again.status_code == first.status_code == 201
        assert again.content == first.content
        assert again["Location"] == first["Location"]
        assert again["Idempotent-Replayed"] == "true"
        assert len(files.find({})) == len(list(stores.stored_ids())) == 1
        assert not list(incoming().iterdir())

    @pytest.mark.parametrize(
        "other",
        [
            {"content": b"other"},
            {"filename": "other.txt"},
            {"metadata": {"n": 2}},
            {"metadata": {}},
        ],
    )
    def test_another_file_name_or_metadata_is_another_body(self, api, other):
        key = f"b-{other}".replace(" ", "")
        api.upload(metadata={"n": 1}, Idempotency_Key=key)
        answer = api.upload(**{"metadata": {"n": 1}, **other}, Idempotency_Key=key)
        assert_problem(answer, 422, "idempotency_key_reused")
        assert len(files.find({})) == 1

    def test_a_refusal_is_the_answer_to_repetitions_too(self, api, settings):
        first = api.upload(png(), "a.jpg", Idempotency_Key="c")
        again = api.upload(png(), "a.jpg", Idempotency_Key="c")
        assert_problem(first, 415, "type_mismatch")
        assert again.content == first.content
        assert again["Idempotent-Replayed"] == "true"

    def test_a_failure_may_be_tried_again(self, api, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setattr("archive.stores.keep", failing(StoreUnavailable()))
            assert_problem(api.upload(Idempotency_Key="d"), 503, "store_unavailable")
        assert api.upload(Idempotency_Key="d").status_code == 201

    def test_while_the_first_runs_others_are_409(self, api, monkeypatch):
        seen = []
        keep = stores.keep

        def slowly(draft):
            monkeypatch.setattr("archive.stores.keep", keep)
            seen.append(Uploader().upload(Idempotency_Key="e"))
            keep(draft)

        monkeypatch.setattr("archive.stores.keep", slowly)
        assert api.upload(Idempotency_Key="e").status_code == 201
        assert_problem(seen[0], 409, "idempotency_in_flight")
        assert len(list(stores.stored_ids())) == 1

    def test_one_that_took_too_long_keeps_nothing_when_another_has_taken_over(
        self, api, monkeypatch
    ):
        keep = stores.keep

        def overtaken(draft):
            monkeypatch.setattr("archive.stores.keep", keep)
            started = now() - idempotency.LEASE - timedelta(seconds=1)
            claim = sha256(f"bootstrap\0{BASE}/upload/\0f".encode()).hexdigest()
            change = {"$set": {"started_at": started}}
            assert internal("idempotency").update_one({"_id": claim}, change).matched_count
            assert Uploader().upload(Idempotency_Key="f").status_code == 201
            keep(draft)

        monkeypatch.setattr("archive.stores.keep", overtaken)
        assert_problem(api.upload(Idempotency_Key="f"), 409, "idempotency_in_flight")
        assert len(files.find({})) == len(list(stores.stored_ids())) == 1


class TestFailures:
    def test_bytes_whose_record_was_refused_are_gone(self, api, store, monkeypatch):
        from core.errors import QuotaExceeded

        monkeypatch.setattr("archive.records.add", failing(QuotaExceeded()))
        assert_problem(api.upload(), 422, "quota_exceeded")
        assert nothing_is_kept()

    def test_bytes_whose_record_may_be_there_are_left_to_the_sweep(self, api, store, monkeypatch):
        monkeypatch.setattr("archive.records.add", failing(DatabaseUnavailable()))
        assert_problem(api.upload(), 503, "database_unavailable")
        assert len(list(stores.stored_ids())) == 1
        assert not list(incoming().iterdir())

    def test_a_file_that_cannot_be_removed_is_deleted_all_the_same(self, api, monkeypatch):
        record = api.kept()
        monkeypatch.setattr("archive.stores.remove", failing(OSError(5, "broken")))
        assert api.delete_file(record["_id"]).status_code == 200
        assert api.download(record["_id"]).status_code == 404


class TestKeys:
    pytestmark = pytest.mark.django_db

    @pytest.mark.parametrize("scope", ["archive:read", "archive:write", "storage:*"])
    def test_each_route_needs_its_scope(self, api, api_with, scope):
        record = api.kept()
        client = api_with(scope)
        reads, writes = scope == "archive:read", scope == "archive:write"
        assert (client.listed().status_code == 200) == reads
        assert (client.download(record["_id"], "HEAD").status_code == 200) == reads
        body = {"expires_in": 60}
        link = client.send("POST", f"{BASE}/link/{record['_id']}/", body)
        assert (link.status_code == 201) == writes
        assert (client.upload().status_code == 201) == writes
        assert (client.delete_file(record["_id"]).status_code == 200) == writes

    def test_a_replay_needs_the_scope_too(self, api_with):
        assert_problem(
            api_with("archive:read").upload(Idempotency_Key="g"), 403, "insufficient_scope"
        )

    @pytest.mark.parametrize("path", ["list", "download/x", "upload", "delete/x", "link/x"])
    def test_without_a_key_nothing_is_said(self, path):
        method = {"upload": "POST", "delete/x": "DELETE", "link/x": "POST"}.get(path, "GET")
        answer = Uploader(key="").send(method, f"{BASE}/{path}/")
        assert_problem(answer, 401, "missing_api_key")


def test_deleting_answers_with_the_record(api, store):
    record = api.kept()
    answer = api.delete_file(record["_id"])
    assert (answer.status_code, answer.json()) == (200, {"deleted": True, "file": record})
    assert nothing_is_kept()
    assert not records.owners.find({})
    assert_problem(api.delete_file(record["_id"]), 404, "file_not_found")
    assert_problem(api.download(record["_id"]), 404, "file_not_found")


@pytest.mark.parametrize(
    "file_id", ["x", "6B0589A7205586EFA129D592", "%7B%22$ne%22:1%7D", "..", "%00"]
)
@pytest.mark.parametrize("route", ["download", "delete", "link"])
def test_what_is_no_files_id_is_not_found(api, route, file_id):
    api.kept()
    method, body = {"download": ("GET", None), "delete": ("DELETE", None)}.get(
        route, ("POST", {"expires_in": 60})
    )
    assert api.send(method, f"{BASE}/{route}/{file_id}/", body).status_code == 404
    assert len(files.find({})) == 1


def test_two_files_of_one_name_are_two_files(api, store):
    first, second = api.kept(b"one", "a.txt"), api.kept(b"two", "a.txt")
    assert api.bytes(first["_id"]) == b"one"
    assert api.bytes(second["_id"]) == b"two"


def test_uploads_and_deletions_are_in_the_audit(api):
    record = api.kept()
    api.delete_file(record["_id"])
    seen = [
        (entry["action"], entry["target"], entry["principal"], entry["outcome"], entry["details"])
        for entry in audit.find()
    ]
    named = {"filename": "hello.txt"}
    assert seen == [
        ("archive.delete", record["_id"], "bootstrap", "success", named),
        ("archive.upload", record["_id"], "bootstrap", "success", {**named, "size": 11}),
    ]


class TestList:
    @pytest.fixture
    def three(self, api, store):
        return [
            api.kept(b"x" * n, f"{n}.txt", {"album": "odd" if n % 2 else "even", "n": n})
            for n in (1, 2, 3)
        ]

    def test_the_newest_comes_first(self, api, three):
        assert api.listed().json() == three[::-1]

    def test_even_one_is_a_list(self, api, three):
        assert api.listed('?query={"size": 2}').json() == [three[1]]
        assert api.listed('?query={"size": 7}').json() == []

    def test_records_and_metadata_can_be_asked_for(self, api, three):
        assert api.listed('?query={"metadata.album": "odd"}&sort=size').json() == [
            three[0],
            three[2],
        ]
        found = api.listed('?query={"filename": {"$regex": "^2"}, "metadata.n": {"$gt": 1}}')
        assert found.json() == [three[1]]

    def test_it_has_pages_and_counts(self, api, three):
        first = api.listed("?limit=2&count=true")
        assert first.json() == [three[2], three[1]]
        assert first["X-Total-Count"] == "3"
        link = first["Link"].partition(">")[0].removeprefix("<")
        rest = api.send("GET", link)
        assert rest.json() == [three[0]]
        assert "Link" not in rest
        assert api.listed("?skip=2").json() == [three[0]]
        assert api.listed('?query={"size": {"$gt": 1}}&count=true')["X-Total-Count"] == "2"

    def test_fields_can_be_chosen(self, api, three):
        assert api.listed('?keys={"size": 1, "_id": 0}&sort=-size&limit=1').json() == [{"size": 3}]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ('?query={"$where": "1"}', "operator_not_allowed"),
            ("?query=[]", "invalid_query"),
            ("?sort=$x", "invalid_query"),
            ("?limit=0", "invalid_parameter"),
            ("?after=x", "invalid_cursor"),
            ('?keys={"x": "$sha256"}', "invalid_query"),
        ],
    )
    def test_what_storage_refuses_is_refused(self, api, query, code):
        assert_problem(api.listed(query), 400, code)

    def test_it_says_nothing_of_the_key_that_uploaded(self, api, three):
        for field in ("key", "owner", "principal"):
            assert api.listed(f'?query={{"{field}": {{"$exists": true}}}}').json() == []


def test_times_are_rfc_3339_in_utc(api):
    record = api.kept()
    parsed = datetime.fromisoformat(record["uploaded_at"])
    assert record["uploaded_at"].endswith("Z")
    assert abs(now() - parsed) < timedelta(seconds=30)
    assert services.get_file(file_id=record["_id"]) == record


class TestDatabase:
    """The database fails while a file is kept or deleted: never a record without bytes."""

    UNKNOWN = {"database_unavailable", "query_timeout"}

    @pytest.mark.parametrize("fault", [{"closeConnection": True}, {"errorCode": 112}])
    @pytest.mark.parametrize(
        ("command", "key"), [("insert", ""), ("insert", "x"), ("commitTransaction", "y")]
    )
    def test_an_upload_is_whole_or_absent(self, api, command, fault, key, impatient):
        named = {"Idempotency_Key": f"{key}{min(fault)}"} if key else {}
        with impatient(), database_failing(command, **fault):
            answer = api.upload(**named)
        assert answer.status_code in {503, 504}
        assert answer.json()["code"] in self.UNKNOWN
        assert operations.sweep(dry_run=False, by="test", min_age=0)["missing"] == []
        assert [record["_id"] for record in files.find({})] == list(stores.stored_ids())
        # The claim of a key that could not be given back stands for a minute.
        assert api.upload(**named).status_code in {201, 409}

    def test_a_deletion_that_fails_leaves_the_file(self, api, impatient):
        record = api.kept()
        with impatient(), database_failing("findAndModify", errorCode=112):
            answer = api.delete_file(record["_id"])
        assert answer.json()["code"] in self.UNKNOWN
        assert api.bytes(record["_id"]) == b"hello world"

    def test_a_list_and_a_download_say_so(self, api, impatient):
        record = api.kept()
        with impatient(), database_failing("find", errorCode=112):
            for answer in (api.listed(), api.download(record["_id"])):
                assert answer.status_code in {503, 504}
                assert answer.json()["code"] in self.UNKNOWN

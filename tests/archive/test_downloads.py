"""Downloading: headers, conditions, ranges, counters, and other ways to send the bytes."""

from __future__ import annotations

import threading
import urllib.request

import pytest
from django.utils.http import http_date

from archive import accesses, records, stores
from archive.records import files
from core.errors import DatabaseUnavailable
from tests.archive.conftest import BASE, choose_store, failing
from tests.archive.samples import png
from tests.conftest import assert_problem
from tests.processes import eventually

CONTENT = bytes(range(1, 255)) * 4


@pytest.fixture
def record(api, store):
    return api.kept(CONTENT, "data.bin")


def read(response):
    return b"".join(response.streaming_content)


def test_every_header_is_exact(api, record):
    answer = api.download(record["_id"])
    assert answer.status_code == 200
    assert read(answer) == CONTENT
    headers = {name.lower(): value for name, value in answer.items()}
    assert headers.pop("x-request-id")
    assert headers.pop("last-modified").endswith(" GMT")
    assert headers == {
        "content-type": "application/octet-stream",
        "content-length": str(len(CONTENT)),
        "content-disposition": "attachment; filename=\"data.bin\"; filename*=UTF-8''data.bin",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "etag": f'"{record["sha256"]}"',
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
    }


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Grüße 1%.txt", "filename=\"Gr__e 1_.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%201%25.txt"),
        ("a'b;c.txt", "filename=\"a'b;c.txt\"; filename*=UTF-8''a%27b%3Bc.txt"),
        ("東京.txt", "filename=\"__.txt\"; filename*=UTF-8''%E6%9D%B1%E4%BA%AC.txt"),
    ],
)
def test_any_name_is_said_as_rfc_8187_does(api, name, header):
    record = api.kept(b"hello", name)
    answer = api.download(record["_id"], "HEAD")
    assert answer["Content-Disposition"] == f"attachment; {header}"


def test_head_has_the_headers_and_no_bytes(api, record):
    whole, head = api.download(record["_id"]), api.download(record["_id"], "HEAD")
    read(whole)
    ignored = {"X-Request-ID"}
    assert {k: v for k, v in head.items() if k not in ignored} == {
        k: v for k, v in whole.items() if k not in ignored
    }
    assert (head.status_code, head.content) == (200, b"")
    ranged = api.download(record["_id"], "HEAD", Range="bytes=0-1")
    assert (ranged.status_code, ranged["Content-Length"]) == (200, str(len(CONTENT)))


def test_an_empty_file_is_downloaded(api, store):
    record = api.kept(b"", "empty.txt")
    answer = api.download(record["_id"])
    assert (answer.status_code, read(answer), answer["Content-Length"]) == (200, b"", "0")
    for asked in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        assert api.download(record["_id"], Range=asked)["Content-Range"] == "bytes */0"


LAST = len(CONTENT) - 1


class TestRanges:
    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [
            ("bytes=0-0", 0, 0),
            ("bytes=0-9", 0, 9),
            ("bytes=10-19", 10, 19),
            (f"bytes={LAST}-{LAST}", LAST, LAST),
            ("bytes=10-", 10, LAST),
            ("bytes=0-", 0, LAST),
            ("bytes=-5", LAST - 4, LAST),
            ("bytes=-100000", 0, LAST),
            ("bytes=10-100000", 10, LAST),
            ("bytes=10-" + "9" * 100, 10, LAST),
            ("Bytes= 10 - 19 ", 10, 19),
        ],
    )
    def test_a_range_is_206(self, api, record, asked, first, last):
        answer = api.download(record["_id"], Range=asked)
        assert answer.status_code == 206
        assert read(answer) == CONTENT[first : last + 1]
        assert answer["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"
        assert answer["Content-Length"] == str(last - first + 1)
        assert answer["ETag"] == f'"{record["sha256"]}"'

    @pytest.mark.parametrize(
        "asked",
        [f"bytes={LAST + 1}-", f"bytes={LAST + 1}-{LAST + 9}", "bytes=-0", f"bytes={'9' * 150}-"],
    )
    def test_one_beyond_the_end_is_416(self, api, record, asked):
        answer = api.download(record["_id"], Range=asked)
        assert_problem(answer, 416, "range_not_satisfiable")
        assert answer["Content-Range"] == f"bytes */{len(CONTENT)}"

    @pytest.mark.parametrize(
        "asked",
        [
            "bytes=9-5",
            "bytes=-",
            "bytes=",
            "bytes=a-b",
            "bytes=0x1-5",
            "bytes=--5",
            "bytes=1-2-3",
            "bytes=\u0661-",
            "items=0-5",
            "0-5",
            "bytes=0-1,4-5",
            "bytes=0-9,5-14",
            "bytes=" + ",".join(["0-"] * 1000),
        ],
        ids=lambda asked: asked[:20],
    )
    def test_several_or_others_get_the_whole(self, api, record, asked):
        answer = api.download(record["_id"], Range=asked)
        assert (answer.status_code, read(answer)) == (200, CONTENT)
        assert "Content-Range" not in answer

    def test_if_range_names_what_the_range_is_of(self, api, record):
        modified = api.download(record["_id"], "HEAD")["Last-Modified"]
        for known, status in [
            (f'"{record["sha256"]}"', 206),
            (modified, 206),
            (f'W/"{record["sha256"]}"', 200),
            ('"other"', 200),
            (http_date(0), 200),
            ("nonsense", 200),
        ]:
            answer = api.download(record["_id"], Range="bytes=0-4", If_Range=known)
            assert (answer.status_code, known) == (status, known)
            assert read(answer) == (CONTENT[:5] if status == 206 else CONTENT)
        beyond = api.download(record["_id"], Range="bytes=99999-", If_Range='"other"')
        assert (beyond.status_code, read(beyond)) == (200, CONTENT)


class TestConditions:
    def test_what_the_client_has_is_304(self, api, record):
        etag = f'"{record["sha256"]}"'
        for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            answer = api.download(record["_id"], If_None_Match=known)
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer["ETag"] == etag
            assert answer["X-Content-Type-Options"] == "nosniff"
            assert "Content-Length" not in answer or answer["Content-Length"] == "0"
        assert api.download(record["_id"], "HEAD", If_None_Match=etag).status_code == 304

    def test_another_tag_gets_the_file(self, api, record):
        for known in ('"x"', record["sha256"], "", '"unended'):
            answer = api.download(record["_id"], If_None_Match=known)
            assert (answer.status_code, read(answer)) == (200, CONTENT)

    def test_dates_count_where_no_tag_does(self, api, record):
        modified = api.download(record["_id"], "HEAD")["Last-Modified"]
        assert api.download(record["_id"], "HEAD", If_Modified_Since=modified).status_code == 304
        for known in (http_date(0), "nonsense"):
            answer = api.download(record["_id"], "HEAD", If_Modified_Since=known)
            assert answer.status_code == 200
        both = api.download(record["_id"], "HEAD", If_Modified_Since=modified, If_None_Match='"x"')
        assert both.status_code == 200

    def test_a_precondition_that_does_not_hold_is_412(self, api, record):
        assert_problem(api.download(record["_id"], If_Match='"x"'), 412, "precondition_failed")
        answer = api.download(record["_id"], If_Unmodified_Since=http_date(86_400))
        assert_problem(answer, 412, "precondition_failed")
        etag = f'"{record["sha256"]}"'
        assert api.download(record["_id"], "HEAD", If_Match=etag).status_code == 200

    def test_conditions_come_before_ranges(self, api, record):
        etag = f'"{record["sha256"]}"'
        answer = api.download(record["_id"], Range="bytes=99999-", If_None_Match=etag)
        assert answer.status_code == 304


def test_only_get_and_head_download(api, record):
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        answer = api.download(record["_id"], method)
        assert_problem(answer, 405, "method_not_allowed")
        assert answer["Allow"] == "GET, HEAD"


def test_a_file_whose_bytes_are_gone_is_not_found(api, record):
    stores.remove(record["_id"])
    assert_problem(api.download(record["_id"]), 404, "file_not_found")


@pytest.mark.parametrize(
    ("status", "http", "code"),
    [("infected", 422, "malware_detected"), ("error", 503, "scanner_unavailable")],
)
def test_what_a_scan_did_not_find_clean_is_never_served(api, record, status, http, code):
    files.update({"_id": record["_id"]}, {"$set": {"security_status": status}})
    assert_problem(api.download(record["_id"]), http, code)
    assert_problem(api.download(record["_id"], Range="bytes=0-1"), http, code)
    link = api.send("POST", f"{BASE}/link/{record['_id']}/", {}).json()["url"]
    assert_problem(api.generic("GET", link), http, code)
    assert api.download(record["_id"], "HEAD").status_code == http


@pytest.mark.django_db
def test_a_download_that_is_broken_off_lets_go_of_the_file(api, record, monkeypatch):
    opened = []
    open_stored = stores.open_stored

    def remember(file_id):
        opened.append(open_stored(file_id))
        return opened[-1]

    monkeypatch.setattr("archive.stores.open_stored", remember)
    answer = api.download(record["_id"])
    next(iter(answer.streaming_content))
    answer.close()
    api.download(record["_id"]).close()
    assert [file.closed for file in opened] == [True, True]


def seen(file_id):
    record = files.get({"_id": file_id})
    return record["downloads"], record["last_downloaded_at"]


class TestCounting:
    def test_a_download_is_counted_and_in_the_log(self, api, record):
        assert seen(record["_id"]) == (0, None)
        answer = api.download(record["_id"], User_Agent="curl/8")
        read(answer)
        accesses.flush()
        count, last = seen(record["_id"])
        assert count == 1
        assert last >= record["uploaded_at"]
        (entry,) = accesses.find(record["_id"])
        at, expires = entry.pop("at"), entry.pop("expires_at")
        assert (expires - at).days == 90
        assert entry.pop("_id")
        assert entry == {
            "file_id": record["_id"],
            "principal": "bootstrap",
            "address": "127.0.0.1",
            "user_agent": "curl/8",
            "request_id": answer["X-Request-ID"],
            "status": 200,
            "range": None,
        }

    def test_a_part_further_on_is_logged_but_belongs_to_a_download_that_counted(self, api, record):
        for asked in ("bytes=0-99", "bytes=100-199", "bytes=-10"):
            read(api.download(record["_id"], Range=asked))
        accesses.flush()
        assert seen(record["_id"])[0] == 1
        ranges = [entry["range"] for entry in accesses.find(record["_id"])]
        assert ranges == ["bytes=-10", "bytes=100-199", "bytes=0-99"]

    def test_what_sends_no_bytes_is_not_a_download(self, api, record):
        etag = f'"{record["sha256"]}"'
        api.download(record["_id"], "HEAD")
        api.download(record["_id"], If_None_Match=etag)
        api.download(record["_id"], Range="bytes=99999-")
        api.download("0" * 24)
        accesses.flush()
        assert seen(record["_id"]) == (0, None)
        assert accesses.find(record["_id"]) == []

    def test_it_is_written_without_being_asked_for(self, api, record):
        read(api.download(record["_id"]))
        eventually(lambda: seen(record["_id"])[0] == 1)

    def test_a_download_waits_for_no_write(self, api, record, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setattr("archive.accesses._writer", accesses._Writer())
            broken.setattr("archive.accesses._Writer._run", lambda self: None)
            broken.setattr("archive.accesses.files", None)
            broken.setattr("archive.accesses.accesses", None)
            assert read(api.download(record["_id"])) == CONTENT

    def test_many_at_once_are_few_writes_and_none_is_lost(self, api, record, monkeypatch):
        writes = []
        insert_all = records.Records.insert_all
        monkeypatch.setattr(
            "core.data.records.Records.insert_all",
            lambda self, entries: (writes.append(len(entries)), insert_all(self, entries)),
        )

        def one():
            for _ in range(10):
                read(type(api)().download(record["_id"]))

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accesses.flush()
        assert seen(record["_id"])[0] == sum(writes) == 80
        assert len(accesses.find(record["_id"])) == 80
        assert len(writes) < 60

    def test_while_the_database_is_gone_they_are_held(self, api, record, monkeypatch):
        with monkeypatch.context() as broken:
            broken.setattr("archive.accesses._Writer._run", lambda self: None)
            broken.setattr("archive.accesses._writer", accesses._Writer())
            read(api.download(record["_id"]))
            with monkeypatch.context() as gone:
                gone.setattr("archive.accesses.files.update", failing(DatabaseUnavailable()))
                accesses.flush()
                assert len(accesses.find(record["_id"])) == 1
            accesses.flush()
            accesses.flush()
        assert seen(record["_id"])[0] == 1
        assert len(accesses.find(record["_id"])) == 1

    def test_what_cannot_be_written_does_not_pile_up(self, api, record, monkeypatch):
        monkeypatch.setattr("archive.accesses.MOST_HELD", 3)
        monkeypatch.setattr("archive.accesses._Writer._run", lambda self: None)
        monkeypatch.setattr("archive.accesses._writer", accesses._Writer())
        for _ in range(5):
            read(api.download(record["_id"]))
        accesses.flush()
        assert len(accesses.find(record["_id"])) == 3
        assert seen(record["_id"])[0] == 5


class TestSentByOthers:
    def test_nginx_is_told_where_the_file_is(self, api, settings):
        record = api.kept(png(), "a.png")
        settings.COGLEX_ARCHIVE_ACCEL_REDIRECT = "/protected/"
        answer = api.download(record["_id"])
        assert answer.content == b""
        assert answer["X-Accel-Redirect"] == f"/protected/{stores.stored_name(record['_id'])}"
        assert answer["Content-Type"] == "image/png"
        assert answer["Content-Disposition"].startswith('attachment; filename="a.png"')
        assert api.download(record["_id"], Range="bytes=99999-").status_code == 416
        accesses.flush()
        assert seen(record["_id"])[0] == 1

    def test_other_stores_know_no_nginx(self, api, settings):
        choose_store(settings, "gridfs")
        settings.COGLEX_ARCHIVE_ACCEL_REDIRECT = "/protected/"
        record = api.kept(b"hello")
        assert api.bytes(record["_id"]) == b"hello"

    def test_s3_sends_the_bytes_itself(self, api, s3, settings):
        record = api.kept(png(), "a.png")
        settings.COGLEX_ARCHIVE_S3_REDIRECT = True
        answer = api.download(record["_id"])
        assert answer.status_code == 302
        with urllib.request.urlopen(answer["Location"]) as sent:
            assert sent.read() == png()
            assert sent.headers["Content-Type"] == "image/png"
            assert sent.headers["Content-Disposition"].startswith('attachment; filename="a.png"')
        accesses.flush()
        assert seen(record["_id"])[0] == 1


def test_a_store_that_does_not_answer_is_503(api, s3, s3_server, settings):
    record = api.kept()
    choose_store(
        settings,
        "s3",
        bucket_name="no-such-bucket",
        endpoint_url=s3_server,
        access_key="x",
        secret_key="x",
        region_name="us-east-1",
    )
    assert_problem(api.upload(), 503, "store_unavailable")
    assert api.download(record["_id"]).status_code in {404, 503}
    assert api.delete_file(record["_id"]).status_code == 200

"""Uploading: the form, the record, what is refused, and that nothing is left of that."""

from __future__ import annotations

from hashlib import sha256

import pytest

from archive import stores
from archive.drafts import incoming
from archive.records import files
from core.times import now, rfc3339
from tests.archive.conftest import (
    BASE,
    BOUNDARY,
    FORM,
    file_part,
    form,
    metadata_part,
    nothing_is_kept,
    part,
)
from tests.archive.samples import KEPT, MISMATCHED, NOT_ALLOWED, png
from tests.conftest import assert_problem


def test_the_answer_is_the_record(api, store):
    before = rfc3339(now())
    answer = api.upload(b"hello world", "notes.txt", {"album": "x", "n": 1})
    record = answer.json()
    assert answer.status_code == 201
    assert record == {
        "_id": record["_id"],
        "filename": "notes.txt",
        "size": 11,
        "content_type": "text/plain",
        "sha256": sha256(b"hello world").hexdigest(),
        "uploaded_at": record["uploaded_at"],
        "security_status": "unscanned",
        "metadata": {"album": "x", "n": 1},
        "downloads": 0,
        "last_downloaded_at": None,
    }
    assert list(record) == list(files.get({"_id": record["_id"]}))
    assert before <= record["uploaded_at"] <= rfc3339(now())
    assert len(record["_id"]) == 24
    assert answer["Location"] == f"{BASE}/download/{record['_id']}/"
    assert api.listed().json() == [record]
    assert api.bytes(record["_id"]) == b"hello world"
    assert list(stores.stored_ids()) == [record["_id"]]
    assert not list(incoming().iterdir())


@pytest.mark.parametrize(
    ("name", "content", "kind"), KEPT[:3] + KEPT[-3:], ids=lambda v: str(v)[:9]
)
def test_the_type_is_told_from_the_content(api, name, content, kind):
    record = api.kept(content, name)
    assert record["content_type"] == kind
    assert api.download(record["_id"], "HEAD")["Content-Type"] == kind


@pytest.mark.parametrize(("name", "content"), NOT_ALLOWED[:4], ids=lambda v: str(v)[:9])
def test_a_type_that_is_not_on_the_list_is_415(api, store, name, content):
    assert_problem(api.upload(content, name), 415, "type_not_allowed")
    assert nothing_is_kept()


@pytest.mark.parametrize(("name", "content"), MISMATCHED[:4], ids=lambda v: str(v)[:9])
def test_a_name_that_says_another_type_is_415(api, store, name, content):
    assert_problem(api.upload(content, name), 415, "type_mismatch")
    assert nothing_is_kept()


def test_the_type_that_the_client_says_counts_for_nothing(api):
    headers = 'Content-Disposition: form-data; name="file"; filename="a.png"'
    body = form(part(f"{headers}\r\nContent-Type: text/html; charset=x", png()))
    assert api.post(body).json()["content_type"] == "image/png"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('filename="../../etc/cron.d/a.txt"', "a.txt"),
        ('filename="a%0D%0AX: y.txt"', "aX_ y.txt"),
        ('filename="a%22b.txt"', "a_b.txt"),
        ('filename="gpj.\u202etxt"', "gpj.txt"),
        ('filename="a.txt."', "a.txt"),
        ("filename=\"old\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.txt", "Grüße.txt"),
        ('filename="Grüße.txt"', "Grüße.txt"),
        ('filename=""', "file"),
        (f'filename="{"a" * 10_000}.txt"', "a" * 251 + ".txt"),
    ],
    ids=lambda value: value[:30],
)
def test_names_are_made_safe(api, directory, written, name):
    body = form(part(f'Content-Disposition: form-data; name="file"; {written}', b"hello"))
    record = api.post(body).json()
    assert record["filename"] == name
    # What is on the disk is called by the id.
    kept = [path for path in directory.rglob("*") if path.is_file()]
    assert [path.name for path in kept] == [record["_id"]]
    assert kept[0].stat().st_mode & 0o777 == 0o600


def test_nobody_else_on_this_machine_can_enter_the_files_directory(api, directory):
    api.upload(b"hello", "a.txt")
    made = [directory, *(each for each in directory.rglob("*") if each.is_dir())]
    assert {each.stat().st_mode & 0o777 for each in made} == {0o700}
    assert len(made) >= 3


def test_metadata_may_hold_whatever_a_document_may(api):
    metadata = {"at": {"$date": "2026-01-31T12:00:00.000Z"}, "tags": ["a", {"b": None}], "_x": 1.5}
    assert api.kept(metadata=metadata)["metadata"] == {
        "at": {"$date": "2026-01-31T12:00:00Z"},
        "tags": ["a", {"b": None}],
        "_x": 1.5,
    }
    assert api.kept()["metadata"] == {}


def test_metadata_may_come_first_or_as_a_file(api):
    first = api.post(form(metadata_part({"n": 1}), file_part(b"hello")))
    as_file = api.post(form(file_part(b"hello"), file_part(b'{"n": 1}', "m.json", "metadata")))
    assert first.json()["metadata"] == as_file.json()["metadata"] == {"n": 1}


@pytest.mark.parametrize(
    ("metadata", "code", "pointer"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"a": 1, "a": 2}', "invalid_json", None),
        (b'{"a": NaN}', "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b"[]", "invalid_document", "/metadata"),
        (b'"text"', "invalid_document", "/metadata"),
        (b'{"$set": 1}', "invalid_field_name", "/metadata/$set"),
        (b'{"a": {"b.c": 1}}', "invalid_field_name", "/metadata/a/b.c"),
        (b'{"a": {"$code": "1"}}', "invalid_field_name", "/metadata/a/$code"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "invalid_document", None),
    ],
    ids=lambda value: str(value)[:20],
)
def test_metadata_that_is_no_document_is_refused(api, metadata, code, pointer):
    problem = assert_problem(api.upload(metadata=metadata), 400, code)
    if pointer:
        assert problem["errors"][0]["pointer"] == pointer
    assert nothing_is_kept()


def test_metadata_has_a_limit(api):
    assert_problem(api.upload(metadata={"a": "x" * 1_048_576}), 413, "too_large")
    assert nothing_is_kept()


WHOLE = form(file_part(b"hello"))


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b'{"file": "hello"}',
        form(),
        form(metadata_part({})),
        form(file_part(b"hello"), file_part(b"again")),
        form(metadata_part({}), metadata_part({}), file_part(b"hello")),
        form(file_part(b"hello"), file_part(b"more", name="other")),
        form(file_part(b"hello", name="File")),
        form(part('Content-Disposition: form-data; name="file"', b"hello")),
        form(part('Content-Disposition: form-data; filename="a.txt"', b"hello")),
        form(part('Content-Disposition: attachment; name="file"; filename="a.txt"', b"x")),
        form(part("Content-Type: text/plain", b"hello")),
        form(part('Content-Disposition: form-data; name="file"; filename=""', b"")),
        form(part('Content-Disposition: form-data; name="file"; filename="\xff"', b"")).replace(
            b"\xc3\xbf", b"\xff"
        ),
        WHOLE[:-4],
        WHOLE[:40],
        WHOLE[:-30],
        WHOLE.replace(BOUNDARY.encode(), b"other"),
        WHOLE.replace(b"\r\n", b"\n"),
        WHOLE + b"x" * 1_000_000,
    ],
    ids=lambda body: body[:30].decode("latin-1") + f" {len(body)}",
)
def test_what_is_no_whole_form_is_refused(api, body):
    assert_problem(api.post(body), 400, "invalid_multipart")
    assert nothing_is_kept()


def test_an_empty_body_is_refused(api):
    answer = api.generic("POST", f"{BASE}/upload/", b"", FORM, CONTENT_TYPE=FORM)
    assert_problem(answer, 400, "invalid_multipart")


@pytest.mark.parametrize("name", ["a", "file[]", "__proto__", "file\u200b"])
def test_only_the_two_parts_are_taken(api, name):
    body = form(file_part(b"hello"), file_part(b"more", name=name))
    assert_problem(api.post(body), 400, "invalid_multipart")


def test_many_parts_or_long_headers_are_refused(api):
    many = form(*(file_part(b"x", name=f"f{number}") for number in range(20)))
    assert api.post(many).status_code == 400
    long = form(part("X-Long: " + "x" * 200_000, b""), file_part(b"hello"))
    assert_problem(api.post(long), 413, "too_large")
    assert nothing_is_kept()


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("application/json", 415, "unsupported_media_type"),
        ("text/plain", 415, "unsupported_media_type"),
        ("multipart/mixed; boundary=x", 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ("", 415, "unsupported_media_type"),
        ("multipart/form-data", 400, "invalid_multipart"),
        ("multipart/form-data; boundary=", 400, "invalid_multipart"),
        ("multipart/form-data; boundary=" + "x" * 300, 400, "invalid_multipart"),
        ("multipart/form-data; boundary=" + "x" * 20_000, 400, "invalid_multipart"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_another_content_type_is_refused(api, kind, status, code):
    assert_problem(api.post(WHOLE, kind), status, code)


def test_a_boundary_may_be_quoted(api):
    assert api.post(WHOLE, f'Multipart/Form-Data; Boundary="{BOUNDARY}"').status_code == 201


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_upload_takes_post_only(api, method):
    answer = api.send(method, f"{BASE}/upload/")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "POST"


class TestSize:
    def test_the_largest_file_is_taken_and_no_byte_more(self, api, store, settings):
        settings.COGLEX_ARCHIVE_MAX_BYTES = 1000
        assert api.kept(b"x" * 1000)["size"] == 1000
        files.delete_all({})
        problem = assert_problem(api.upload(b"x" * 1001), 413, "file_too_large")
        assert "1000 bytes" in problem["detail"]

    def test_nothing_of_a_larger_one_is_kept(self, api, store, settings):
        settings.COGLEX_ARCHIVE_MAX_BYTES = 1000
        assert_problem(api.upload(b"x" * 1_000_000), 413, "file_too_large")
        assert nothing_is_kept()

    def test_an_announced_length_over_it_is_refused_before_it_is_read(
        self, api, settings, monkeypatch
    ):
        settings.COGLEX_ARCHIVE_MAX_BYTES = 1000
        monkeypatch.setattr("archive.uploads.new_draft", None)
        assert_problem(api.upload(b"x" * 5_000_000), 413, "file_too_large")

    def test_a_length_that_is_no_number_is_refused(self, api):
        answer = api.generic("POST", f"{BASE}/upload/", WHOLE, FORM, CONTENT_LENGTH="x")
        assert_problem(answer, 400, "invalid_request")

    def test_a_full_disk_is_503_and_leaves_nothing(self, api, settings):
        settings.COGLEX_ARCHIVE_KEEP_FREE_BYTES = 2**60
        answer = api.upload()
        assert_problem(answer, 503, "storage_full")
        assert answer["Retry-After"] == "60"
        assert nothing_is_kept()


def test_nothing_of_a_name_or_its_content_reaches_the_log(api, capfd):
    body = form(
        part('Content-Disposition: form-data; name="file"; filename="a%0A{evil}.txt"', b"hello")
    )
    assert api.post(body).status_code == 201
    assert_problem(api.upload(png(), "{evil}.txt"), 415, "type_mismatch")
    out, err = capfd.readouterr()
    assert "archive/v1/upload/" in out + err
    assert "evil" not in out + err

"""Signed links: whoever holds one may download that file, until then."""

from __future__ import annotations

import time
from datetime import datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from archive import accesses
from core import audit
from tests.archive.conftest import BASE, Uploader
from tests.conftest import assert_problem


@pytest.fixture
def record(api):
    return api.kept()


def make(api, record, **body):
    answer = api.send("POST", f"{BASE}/link/{record['_id']}/", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def anybody():
    return Uploader(key="")


def changed(url, **changes):
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    query.update(changes)
    return f"{parts.path}?{urlencode({name: value for name, value in query.items() if value})}"


def test_a_link_is_a_download_without_a_key(api, anybody, record):
    made = make(api, record, expires_in=60, disposition="inline")
    assert list(made) == ["url", "expires_at"]
    left = datetime.fromisoformat(made["expires_at"]).timestamp() - time.time()
    assert 58 < left <= 60
    answer = anybody.generic("GET", made["url"])
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content) == b"hello world"
    assert answer["Content-Disposition"].startswith('inline; filename="hello.txt"')
    accesses.flush()
    assert [entry["principal"] for entry in accesses.find(record["_id"])] == ["link"]
    ranged = anybody.generic("GET", made["url"], headers={"Range": "bytes=0-4"})
    assert b"".join(ranged.streaming_content) == b"hello"
    assert anybody.generic("HEAD", made["url"]).status_code == 200


def test_what_is_not_said_is_an_attachment_for_an_hour(api, anybody, record):
    made = make(api, record)
    left = datetime.fromisoformat(made["expires_at"]).timestamp() - time.time()
    assert 3598 < left <= 3600
    answer = anybody.generic("HEAD", made["url"])
    assert answer["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"expires_in": 0}, "/expires_in"),
        ({"expires_in": -1}, "/expires_in"),
        ({"expires_in": 604_801}, "/expires_in"),
        ({"expires_in": 1.5}, "/expires_in"),
        ({"expires_in": "60"}, "/expires_in"),
        ({"expires_in": True}, "/expires_in"),
        ({"expires_in": None}, "/expires_in"),
        ({"expires_in": {"$numberInt": "60"}}, "/expires_in"),
        ({"disposition": "INLINE"}, "/disposition"),
        ({"disposition": 'inline"; x="'}, "/disposition"),
        ({"disposition": ["inline"]}, "/disposition"),
        ({"expires": 60}, "/expires"),
        ([], ""),
        ("x", ""),
    ],
)
def test_a_body_of_another_form_is_refused(api, record, body, pointer):
    answer = api.send("POST", f"{BASE}/link/{record['_id']}/", body)
    problem = assert_problem(answer, 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == pointer


def test_the_longest_is_a_week(api, anybody, record):
    made = make(api, record, expires_in=604_800)
    assert anybody.generic("HEAD", made["url"]).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"expires": "9999999999"},
        {"expires": ""},
        {"expires": "x"},
        {"disposition": "inline"},
        {"disposition": ""},
        {"signature": "0" * 64},
        {"signature": "é"},
        {"signature": "x" * 5000},
    ],
)
def test_an_altered_link_is_403(api, anybody, record, change):
    url = changed(make(api, record)["url"], **change)
    assert_problem(anybody.generic("GET", url), 403, "invalid_link")


def test_an_empty_signature_is_403(api, anybody, record):
    url = make(api, record)["url"].partition("signature=")[0]
    assert_problem(anybody.generic("GET", f"{url}signature="), 403, "invalid_link")
    assert_problem(anybody.generic("GET", url), 401, "missing_api_key")


def test_a_parameter_twice_is_403(api, anybody, record):
    url = make(api, record)["url"]
    assert_problem(anybody.generic("GET", f"{url}&expires=9999999999"), 403, "invalid_link")
    assert_problem(anybody.generic("GET", f"{url}&disposition=inline"), 403, "invalid_link")


def test_a_link_whose_time_is_over_is_403(api, anybody, record, monkeypatch):
    url = make(api, record, expires_in=60)["url"]
    later = time.time() + 61
    monkeypatch.setattr("archive.links.time.time", lambda: later)
    problem = assert_problem(anybody.generic("GET", url), 403, "invalid_link")
    assert "over" in problem["detail"]


def test_a_link_is_for_one_file_and_for_downloading(api, anybody, record):
    other = api.kept(b"other")
    url = make(api, record)["url"]
    elsewhere = changed(url).replace(record["_id"], other["_id"])
    assert_problem(anybody.generic("GET", elsewhere), 403, "invalid_link")
    for method, route in [("DELETE", "delete"), ("POST", "link")]:
        path = changed(url).replace("/download/", f"/{route}/")
        assert_problem(anybody.generic(method, path), 401, "missing_api_key")
    query = urlsplit(url).query
    assert_problem(anybody.generic("GET", f"{BASE}/list/?{query}"), 401, "missing_api_key")
    assert anybody.generic("POST", url).status_code in {403, 405}


def test_a_link_ends_with_the_file(api, anybody, record):
    url = make(api, record)["url"]
    api.delete_file(record["_id"])
    assert_problem(anybody.generic("GET", url), 404, "file_not_found")
    assert_problem(api.send("POST", f"{BASE}/link/{record['_id']}/", {}), 404, "file_not_found")


def test_a_link_is_never_built_from_the_host(api, record, settings):
    settings.ALLOWED_HOSTS = ["*"]
    path = f"{BASE}/link/{record['_id']}/"
    answer = api.send("POST", path, {}, Host="evil.example", X_Forwarded_Host="evil.example")
    assert answer.json()["url"].startswith("http://127.0.0.1:8000/service/archive/v1/download/")
    settings.COGLEX_PUBLIC_URL = "https://api.example.com"
    assert make(api, record)["url"].startswith("https://api.example.com/service/archive/v1/")


def test_links_are_in_the_audit(api, record):
    made = make(api, record)
    (entry,) = audit.find(action="archive.link")
    assert (entry["target"], entry["principal"]) == (record["_id"], "bootstrap")
    assert entry["details"] == {"expires_at": made["expires_at"]}


def test_a_link_is_not_in_the_log(api, anybody, record, capfd):
    url = make(api, record)["url"]
    anybody.generic("HEAD", url)
    signature = url.partition("signature=")[2]
    out, err = capfd.readouterr()
    assert "download/" in out + err
    assert signature not in out + err

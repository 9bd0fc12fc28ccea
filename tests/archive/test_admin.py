"""Operators' pages of files."""

from __future__ import annotations

import pytest

from archive import accesses
from archive.records import files
from core import audit
from tests.archive.samples import png
from tests.conftest import sign_in_operator

pytestmark = pytest.mark.django_db
LIST = "/admin/archive/file/"


def text(response):
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def record(api):
    return api.kept(png(), "<b>logo.png", {"album": "<i>brand"})


@pytest.fixture
def page(record):
    return f"{LIST}{record['_id']}/"


def test_files_are_listed_and_searched(admin_client, api, record):
    api.kept(b"hello", "notes.txt")
    shown = text(admin_client.get(LIST))
    assert "_b_logo.png" in shown
    assert "notes.txt" in shown
    assert "notes.txt" not in text(admin_client.get(LIST, {"q": "LOGO"}))
    assert "No file fits" in text(admin_client.get(LIST, {"q": "(["}))
    query = {"query": '{"metadata.album": "<i>brand"}', "status": "unscanned"}
    shown = text(admin_client.get(LIST, query))
    assert "_b_logo.png" in shown
    assert "notes.txt" not in shown
    assert "No file fits" in text(admin_client.get(LIST, {"status": "infected"}))


@pytest.mark.parametrize("query", ["{", "[]", '{"$where": "1"}'])
def test_a_fault_in_the_query_is_said_beside_it(admin_client, record, query):
    shown = text(admin_client.get(LIST, {"query": query}))
    assert 'class="error"' in shown
    assert "logo.png" not in shown


def test_long_lists_have_pages(admin_client, api, record):
    files.insert_all([{**record, "_id": f"{n:024x}", "filename": f"f{n}"} for n in range(55)])
    first = text(admin_client.get(LIST))
    assert "skip=50" in first
    assert first.count(f'href="{LIST}') >= 50
    shown = text(admin_client.get(LIST, {"skip": "50"}))
    assert [name for name in ("f6<", "f5<", "f0<") if name in shown] == ["f5<", "f0<"]


def test_the_page_of_a_file_shows_everything_escaped(admin_client, page, record, api):
    api.bytes(record["_id"])
    accesses.flush()
    shown = text(admin_client.get(page))
    for part in (record["sha256"], "image/png", "bootstrap", "unscanned", "127.0.0.1"):
        assert part in shown
    assert "&lt;i&gt;brand" in shown
    assert "<i>brand" not in shown


def test_pictures_are_shown_and_nothing_else(admin_client, page, api):
    assert 'class="preview" src="' + page + "content/?preview=1" in text(admin_client.get(page))
    shown = admin_client.get(f"{page}content/?preview=1")
    assert b"".join(shown.streaming_content) == png()
    assert shown["Content-Disposition"].startswith("inline;")
    assert shown["Content-Security-Policy"] == "default-src 'none'; sandbox"
    pdf = api.kept(b"%PDF-1.4\n%%EOF\n", "a.pdf")
    assert 'class="preview"' not in text(admin_client.get(f"{LIST}{pdf['_id']}/"))
    sent = admin_client.get(f"{LIST}{pdf['_id']}/content/?preview=1")
    assert b"".join(sent.streaming_content)
    assert sent["Content-Disposition"].startswith("attachment;")


def test_a_download_is_logged_and_a_preview_is_not(admin_client, page, record):
    for path in ("content/", "content/?preview=1"):
        assert b"".join(admin_client.get(page + path).streaming_content) == png()
    accesses.flush()
    assert [entry["principal"] for entry in accesses.find(record["_id"])] == ["admin:admin"]


def test_an_infected_file_is_neither_shown_nor_sent(admin_client, page, record):
    files.update({"_id": record["_id"]}, {"$set": {"security_status": "infected"}})
    shown = text(admin_client.get(page))
    assert "infected" in shown
    assert "content/" not in shown
    assert admin_client.get(f"{page}content/").status_code == 302
    assert "malware" in text(admin_client.get(f"{page}content/", follow=True))


def test_a_file_is_deleted(admin_client, page, record):
    answer = admin_client.post(page, {"action": "delete:"}, follow=True)
    assert "Deleted." in text(answer)
    assert files.find({}) == []
    (entry,) = audit.find(action="archive.delete")
    assert entry["principal"] == "admin:admin"
    assert "There is no file" in text(admin_client.get(page, follow=True))


def test_a_file_is_scanned_again(admin_client, page, record, clamd, settings):
    assert "COGLEX_CLAMD_URL is not set" in text(
        admin_client.post(page, {"action": "rescan:"}, follow=True)
    )
    settings.COGLEX_CLAMD_URL = f"unix://{clamd}"
    shown = text(admin_client.post(page, {"action": "rescan:"}, follow=True))
    assert "Scanned: clean." in shown
    (entry,) = audit.find(action="archive.rescan")
    assert entry["principal"] == "admin:admin"


def test_an_operator_does_what_the_permissions_say(client, page, record):
    sign_in_operator(client, "archive.view_file")
    shown = text(client.get(page))
    assert "Delete file" not in shown
    assert "Scan again" not in shown
    assert b"".join(client.get(f"{page}content/").streaming_content) == png()
    for action in ("delete:", "rescan:"):
        assert client.post(page, {"action": action}).status_code == 403
    assert len(files.find({})) == 1


def test_without_the_permission_there_is_nothing_to_see(client, page):
    sign_in_operator(client, "accounts.view_user")
    for path in (LIST, page, f"{page}content/"):
        assert client.get(path).status_code == 403


def test_strangers_are_sent_to_the_sign_in(client, page):
    for path in (LIST, page, f"{page}content/"):
        assert client.get(path)["Location"].startswith("/admin/login/")

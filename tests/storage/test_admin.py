"""Operators' pages of collections, documents and indexes."""

from __future__ import annotations

import re

import pytest

from core import audit
from storage import operations
from tests.conftest import sign_in_operator

pytestmark = pytest.mark.django_db
LIST = "/admin/storage/collection/"


def text(response, status=200):
    assert response.status_code == status
    return response.content.decode()


@pytest.fixture
def page(collection, documents):
    documents.insert_many({"_id": f"k{n:02}", "n": n, "name": "<b>x</b>"} for n in range(60))
    return f"{LIST}{collection}/"


@pytest.fixture
def document(page):
    return f"{page}documents/k07/"


def etag_in(shown):
    return re.search(r'name="etag" value="([^"]*)"', shown).group(1).replace("&quot;", '"')


def test_collections_are_listed_with_sizes(admin_client, page, collection):
    shown = text(admin_client.get(LIST))
    assert f'<a href="{page}">{collection}</a>' in shown
    assert '<td data-label="Documents">60</td>' in shown


def test_documents_are_browsed_filtered_and_sorted_as_by_the_api(admin_client, page):
    shown = text(admin_client.get(page))
    assert "k49" in shown
    assert "k50" not in shown
    assert "<b>x</b>" not in shown
    more = re.search(r'href="(\?[^"]*after=[^"]*)"', shown).group(1).replace("&amp;", "&")
    shown = text(admin_client.get(page + more))
    assert "k59" in shown
    assert "k49" not in shown
    shown = text(admin_client.get(page, {"query": '{"n": {"$gt": 57}}', "sort": "-n"}))
    assert re.findall(r">(k\d\d)<", shown) == ["k59", "k58"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"query": "{"}, "not valid JSON"),
        ({"query": '{"$where": "1"}'}, "$where is not an operator"),
        ({"query": "[]"}, "must be"),
        ({"sort": '{"n": 5}'}, "one of: 1, -1"),
        ({"after": "altered"}, "next link"),
        ({"query": "{\ud800"}, "not valid"),
    ],
)
def test_a_fault_in_what_is_asked_is_said(admin_client, page, asked, words):
    shown = text(
        admin_client.get(
            page, {name: value.encode("utf-8", "surrogatepass") for name, value in asked.items()}
        )
    )
    assert 'class="error"' in shown
    assert words in shown
    assert "k01" not in shown


def test_a_document_is_edited(admin_client, document, documents):
    shown = text(admin_client.get(document))
    assert "&quot;name&quot;: &quot;&lt;b&gt;x&lt;/b&gt;&quot;" in shown
    sent = {"document": '{"_id": "k07", "new": {"$numberLong": "5"}}', "etag": etag_in(shown)}
    answer = admin_client.post(document, {**sent, "action": "save"}, follow=True)
    assert "Saved." in text(answer)
    assert documents.find_one({"_id": "k07"}) == {"_id": "k07", "new": 5}
    entry = audit.find(action="storage.edit_document", limit=1)[0]
    assert (entry["principal"], entry["target"].partition("/")[2]) == ("admin:admin", "k07")


def test_a_change_meanwhile_is_a_conflict_that_loses_nothing(admin_client, document, documents):
    etag = etag_in(text(admin_client.get(document)))
    documents.update_one({"_id": "k07"}, {"$set": {"n": "theirs"}})
    sent = {"document": '{"n": "mine"}', "etag": etag}
    shown = text(admin_client.post(document, sent), 409)
    assert "Somebody changed this document" in shown
    assert "&quot;mine&quot;" in shown
    assert "&quot;theirs&quot;" in shown
    assert documents.find_one({"_id": "k07"})["n"] == "theirs"
    text(admin_client.post(document, {**sent, "etag": etag_in(shown)}, follow=True))
    assert documents.find_one({"_id": "k07"})["n"] == "mine"


def test_a_document_deleted_meanwhile_is_a_conflict_too(admin_client, document, documents):
    etag = etag_in(text(admin_client.get(document)))
    documents.delete_one({"_id": "k07"})
    shown = text(admin_client.post(document, {"document": '{"n": 1}', "etag": etag}), 409)
    assert "(deleted)" in shown
    text(admin_client.post(document, {"document": '{"n": 1}', "etag": etag_in(shown)}, follow=True))
    assert documents.find_one({"_id": "k07"})["n"] == 1


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ('{"a": ', "not valid JSON"),
        ('{"a": {"$set": 1}}', "/a/$set"),
        ("[]", "object"),
        ('{"_id": "other"}', "not the one in the path"),
        ('{"a": 1, "a": 2}', "twice"),
    ],
)
def test_what_is_no_document_is_said_and_kept_in_the_form(
    admin_client, document, documents, typed, words
):
    etag = etag_in(text(admin_client.get(document)))
    shown = text(admin_client.post(document, {"document": typed, "etag": etag}), 400)
    assert words in shown
    assert typed.replace('"', "&quot;") in shown
    assert documents.find_one({"_id": "k07"})["n"] == 7


def test_a_document_is_made_and_deleted(admin_client, page, documents):
    text(admin_client.post(f"{page}new/", {"document": '{"_id": "made"}'}, follow=True))
    assert documents.find_one({"_id": "made"}) == {"_id": "made"}
    shown = text(admin_client.post(f"{page}new/", {"document": '{"_id": "made"}'}), 400)
    assert "taken" in shown or "already" in shown
    made = f"{page}documents/made/"
    etag = etag_in(text(admin_client.get(made)))
    text(admin_client.post(made, {"action": "delete", "etag": '"old"'}), 409)
    text(admin_client.post(made, {"action": "delete", "etag": etag}, follow=True))
    assert documents.find_one({"_id": "made"}) is None
    assert "has no document with this key" in text(admin_client.get(made, follow=True))


def test_indexes_are_made_and_dropped(admin_client, page, collection):
    indexes = f"{page}indexes/"
    sent = {"action": "create:", "keys": "-n name", "unique": "on", "partial": '{"n": {"$gt": 1}}'}
    assert "Created n_-1_name_1." in text(admin_client.post(indexes, sent, follow=True))
    (_, made) = operations.list_indexes(collection=collection)
    assert made["options"] == {"unique": True, "partialFilterExpression": {"n": {"$gt": 1}}}
    shown = text(admin_client.get(indexes))
    assert "drop:n_-1_name_1" in shown
    assert "drop:_id_" not in shown
    admin_client.post(indexes, {"action": "drop:n_-1_name_1"})
    assert len(operations.list_indexes(collection=collection)) == 1
    for bad in ({"keys": ""}, {"keys": "a", "partial": "{"}, {"keys": "a", "expire_after": "x"}):
        shown = text(admin_client.post(indexes, {"action": "create:", **bad}, follow=True))
        assert 'class="error"' in shown
    shown = text(admin_client.post(indexes, {"action": "drop:_id_"}, follow=True))
    assert "cannot be dropped" in shown


def test_a_collection_is_dropped_by_its_name(admin_client, page, collection, documents):
    text(admin_client.post(page, {"action": "delete:", "name": "x"}, follow=True))
    assert documents.count_documents({}) == 60
    shown = text(admin_client.post(page, {"action": "delete:", "name": collection}, follow=True))
    assert f"Dropped {collection} with 60 documents." in shown
    assert documents.count_documents({}) == 0


@pytest.mark.parametrize("name", ["system.users", "a..b", "$x", "%00"])
def test_names_that_are_no_collections_are_said(admin_client, name):
    for path in (f"{LIST}{name}/", f"{LIST}{name}/indexes/", f"{LIST}{name}/documents/a/"):
        assert 'class="error"' in text(admin_client.get(path, follow=True))


@pytest.mark.parametrize(
    ("permissions", "seen", "changed", "dropped"),
    [
        ((), 403, 403, 403),
        (("storage.view_collection",), 200, 403, 403),
        (("storage.view_collection", "storage.change_collection"), 200, 302, 403),
        (("storage.view_collection", "storage.delete_collection"), 200, 403, 302),
    ],
)
def test_operators_need_the_permission_for_what_they_do(
    client, page, document, documents, permissions, seen, changed, dropped
):
    sign_in_operator(client, *permissions)
    for path in (LIST, page, document, f"{page}indexes/"):
        assert client.get(path).status_code == seen
    assert client.get(f"{page}new/").status_code == (200 if changed == 302 else 403)
    assert client.post(f"{page}new/", {"document": "{}"}).status_code == changed
    sent = {"action": "create:", "keys": "n"}
    assert client.post(f"{page}indexes/", sent).status_code == changed
    assert client.post(page, {"action": "delete:", "name": "x"}).status_code == dropped
    etag = operations.services.get_document(collection=documents.name, key="k07").etag
    sent = {"action": "delete", "etag": etag}
    assert client.post(document, sent).status_code == dropped


def test_nobody_signed_in_sees_the_sign_in(client, page, document):
    for path in (LIST, page, document, f"{page}indexes/", f"{page}new/"):
        assert client.get(path)["Location"].startswith("/admin/login/")

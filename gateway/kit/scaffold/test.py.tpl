"""The module ${name} of the gateway."""

from __future__ import annotations

import pytest

from core import audit
from gateway.${name} import services
from tests.conftest import assert_problem

pytestmark = pytest.mark.django_db
NOTES = "/gateway/${name}/notes/"


@pytest.fixture(autouse=True)
def no_notes():
    yield
    services.coglex.documents.delete_all(services.NOTES, {})


def test_a_note_is_kept_and_listed(api_with):
    client = api_with("gateway/${name}:*")
    added = client.send("POST", NOTES, {"text": "Order more tea."})
    assert (added.status_code, added.json()["text"]) == (201, "Order more tea.")
    assert client.send("GET", NOTES).json() == [added.json()]
    (entry,) = audit.find(action="gateway.${name}.add_note", limit=1)
    assert entry["target"] == f"{services.NOTES}/{added.json()['_id']}"


def test_the_newest_notes_come_first(api_with):
    client = api_with("gateway/${name}:*")
    for text in ("one", "two", "three"):
        client.send("POST", NOTES, {"text": text})
    listed = client.send("GET", f"{NOTES}?limit=2").json()
    assert [note["text"] for note in listed] == ["three", "two"]


@pytest.mark.parametrize("text", ["", "x" * 1001, 7, None, {"$$gt": ""}])
def test_what_is_no_text_is_refused(api_with, text):
    client = api_with("gateway/${name}:write")
    problem = assert_problem(client.send("POST", NOTES, {"text": text}), 400, "invalid_request")
    assert problem["errors"][0]["pointer"] == "/text"


def test_a_key_needs_the_scope(api, api_with):
    assert_problem(api_with("gateway/other:*").send("GET", NOTES), 403, "insufficient_scope")
    reader = api_with("gateway/${name}:read")
    assert reader.send("GET", NOTES).status_code == 200
    assert_problem(reader.send("POST", NOTES, {"text": "x"}), 403, "insufficient_scope")
    api.key = ""
    assert_problem(api.send("GET", NOTES), 401, "missing_api_key")

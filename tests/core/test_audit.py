"""The audit's page, its export, and `manage.py audit`."""

from __future__ import annotations

import csv
import io
import json
import sys
import types
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from core import audit
from core.data import indexes
from core.data.client import internal
from tests.conftest import sign_in_operator

pytestmark = pytest.mark.django_db
LIST = "/admin/core/auditentry/"


@pytest.fixture(autouse=True)
def entries():
    internal("audit").delete_many({})
    for number in range(60):
        audit.record("test.did", principal="cli", target=f"t{number}", count=number)
    audit.record("test.else", principal="=evil()", target="<b>", outcome="failure")


def text(response, status=200):
    assert response.status_code == status
    return (
        b"".join(response.streaming_content) if response.streaming else response.content
    ).decode()


def test_entries_are_listed_the_newest_first_in_pages(admin_client):
    shown = text(admin_client.get(LIST, {"action": "test."}))
    assert shown.index("test.else") < shown.index(">t59<") < shown.index(">t11<")
    assert ">t10<" not in shown
    assert "&lt;b&gt;" in shown
    assert ">t10<" in text(admin_client.get(LIST, {"action": "test.", "skip": "50"}))


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"action": "test.did"}, 60),
        ({"action": "test."}, 61),
        ({"action": "tes."}, 0),
        ({"principal": "cli"}, 60),
        ({"target": "t5"}, 1),
        ({"action": "test.", "outcome": "failure"}, 1),
        ({"action": "test.", "since": "2999-01-01"}, 0),
        ({"action": "test.", "until": "2999-01-01T12:00"}, 61),
    ],
)
def test_filters_hold_for_the_page_the_export_and_the_command(admin_client, asked, count):
    exported = text(admin_client.get(f"{LIST}export/ndjson/", asked)).splitlines()
    assert len(exported) == count
    shown = text(admin_client.get(LIST, asked))
    assert ("Nothing fits." in shown) == (count == 0)
    out = io.StringIO()
    words = [f"--{name}={value}" for name, value in asked.items()]
    call_command("audit", "list", "--json", "--limit", "100", *words, stdout=out)
    assert [json.loads(line) for line in exported] == json.loads(out.getvalue())


def test_an_entry_has_a_page(admin_client):
    entry = audit.find(action="test.did", limit=1)[0]
    shown = text(admin_client.get(f"{LIST}{entry['_id']}/"))
    assert "&quot;count&quot;: 59" in shown
    for key in ("f" * 24, "x"):
        assert "no such entry" in text(admin_client.get(f"{LIST}{key}/", follow=True))


def test_a_time_that_is_none_is_said(admin_client):
    assert "is no time" in text(admin_client.get(LIST, {"since": "yesterday"}))
    answer = admin_client.get(f"{LIST}export/csv/", {"since": "yesterday"}, follow=True)
    assert "is no time" in text(answer)
    with pytest.raises(CommandError, match="is no time"):
        call_command("audit", "list", "--since", "yesterday")


def test_the_csv_is_safe_in_spreadsheets(admin_client):
    rows = list(csv.DictReader(io.StringIO(text(admin_client.get(f"{LIST}export/csv/")))))
    assert rows[0]["principal"] == "admin:admin" or rows[0]["action"] == "test.else"
    (evil,) = [row for row in rows if row["action"] == "test.else"]
    assert evil["principal"] == "'=evil()"
    assert json.loads(rows[-1]["details"]) == {"count": 0}


@pytest.mark.parametrize("times", [1, 3, 61], ids=["one time", "three times", "a time each"])
def test_the_walk_loses_and_repeats_nothing_however_many_have_one_time(monkeypatch, times):
    monkeypatch.setattr(audit, "_PAGE", 7)
    ids = [entry["_id"] for entry in internal("audit").find({}, {"_id": 1})]
    assert len(ids) == 61
    for number, each in enumerate(ids):
        at = datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(milliseconds=number % times)
        internal("audit").update_one({"_id": each}, {"$set": {"at": at}})
    walked = [(entry["at"], entry["_id"]) for entry in audit.walk()]
    assert walked == sorted(set(walked), reverse=True)
    assert {each for _, each in walked} == set(ids)
    assert [each for _, each in walked] == [each["_id"] for each in audit.find(limit=100)]


def test_the_walk_keeps_to_what_was_asked_for_on_every_page(monkeypatch):
    monkeypatch.setattr(audit, "_PAGE", 7)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    internal("audit").update_many({"target": {"$ne": "t7"}}, {"$set": {"at": noon}})
    later = noon + timedelta(milliseconds=1)
    assert len(list(audit.walk(action="test.did", since=noon, until=later))) == 59
    assert list(audit.walk(until=noon)) == []


def test_pages_of_the_walk_are_read_from_an_index(monkeypatch):
    """Sorting a year of entries for each page would take the database's memory and time."""
    indexes.ensure_indexes()
    last = audit.find(limit=1)[0]
    for chosen in ({}, {"action": "test.did"}):
        page = {"$and": [chosen, audit._after(last)]}
        found = internal("audit").find(page).sort(list(audit._NEWEST_FIRST)).limit(7)
        assert "SORT" not in stages(found.explain()["queryPlanner"]["winningPlan"])


def stages(plan):
    """The names of a plan's stages."""
    inner = [plan["inputStage"]] if "inputStage" in plan else plan.get("inputStages", [])
    return {plan["stage"]}.union(*(stages(each) for each in inner))


def test_the_command_exports_to_a_file_or_out(tmp_path, monkeypatch):
    path = tmp_path / "audit.ndjson"
    call_command("audit", "export", "-o", str(path), "--action", "test.", stdout=io.StringIO())
    assert len(path.read_text().splitlines()) == 61
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", types.SimpleNamespace(buffer=out))
    call_command("audit", "export", "--format", "csv", "--action", "test.else")
    assert len(out.getvalue().splitlines()) == 2
    with pytest.raises(CommandError, match="Cannot write"):
        call_command("audit", "export", "-o", "/proc/nothing/x")


def test_only_those_who_may_see_it_do(client):
    sign_in_operator(client, "accounts.view_user")
    assert client.get(LIST).status_code == 403
    assert client.get(f"{LIST}export/csv/").status_code == 403


def test_unknown_forms_are_not_found(admin_client):
    assert admin_client.get(f"{LIST}export/pdf/").status_code == 404

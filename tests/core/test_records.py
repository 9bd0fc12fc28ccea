"""The audit, the logs and the indexes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
import structlog
from django.core.management import call_command

from core import audit, logs
from core.data.client import internal
from core.errors import DatabaseUnavailable


def test_an_entry_says_who_did_what_to_what_and_from_where():
    logs.set_context({"request_id": "r1", "address": "1.2.3.4", "user_agent": "curl"})
    audit.record("test.did", principal="p", target="t", outcome="failure", count=3)
    logs.set_context({})
    entry = audit.find(action="test.did", limit=1)[0]
    kept = entry.pop("expires_at") - entry.pop("at")
    assert kept == timedelta(days=365)
    entry.pop("_id")
    assert entry == {
        "action": "test.did",
        "principal": "p",
        "target": "t",
        "outcome": "failure",
        "request_id": "r1",
        "address": "1.2.3.4",
        "user_agent": "curl",
        "details": {"count": 3},
    }
    assert internal("audit").index_information()["expires_at_1"]["expireAfterSeconds"] == 0


def test_entries_are_found_by_their_parts():
    for number in range(3):
        audit.record("test.find", principal=f"p{number}", target="t")
    assert [entry["principal"] for entry in audit.find(action="test.find", limit=2)] == ["p2", "p1"]
    assert len(audit.find(action="test.find", principal="p0")) == 1
    now = datetime.now(UTC)
    assert audit.find(action="test.find", since=now + timedelta(1)) == []
    assert audit.find(action="test.find", until=now - timedelta(1)) == []


def test_what_was_done_stays_done_when_the_audit_fails(monkeypatch):
    def fail(*_):
        raise DatabaseUnavailable

    monkeypatch.setattr(audit.Records, "insert", fail)
    with structlog.testing.capture_logs() as lines:
        audit.record("test.lost", principal="p", target="t")
    assert [line["event"] for line in lines] == ["audit_not_written"]


def line(form, **event):
    """What one record looks like in this form."""
    masked = logs.mask_secrets(None, "info", {"event": "x", "level": "info", **event})
    masked.setdefault("timestamp", "2026-01-01T00:00:00Z")
    render = {"json": logs._render_json, "console": logs._render_line}[form]
    return render(None, "info", masked).decode()


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "event",
    [
        {"password": "hunter22"},
        {"nested": {"X-API-Key": "hunter22", "list": [{"token": "hunter22"}]}},
        {"text": "key cgx_abcdefgh_hunter22 used"},
        {"uri": "mongodb://user:hunter22@host/"},
        {"stripe": "sk_live_hunter22hunter22"},
        {"authorization": "Bearer hunter22", "cookie": "hunter22", "client_secret": "hunter22"},
    ],
)
def test_secrets_are_masked_wherever_they_stand(form, event):
    text = line(form, **event)
    assert "hunter22" not in text
    assert logs.MASK in text


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_value_cannot_break_a_line_or_colour_a_terminal(form):
    evil = 'a\nlevel=error event=fake\r\x1b[31m\u2028\u202e"}'
    text = line(form, value=evil, event=evil)
    assert len(text.splitlines()) == 1
    assert not any(character in text for character in "\n\r\x1b")
    if form == "json":
        assert json.loads(text)["value"] == evil
    else:
        assert "\u202e" not in text


def test_the_command_makes_the_declared_indexes():
    out = StringIO()
    call_command("indexes", "ensure", "--json", stdout=out)
    assert set(json.loads(out.getvalue())) >= {
        "audit.expires_at_1",
        "cache.expires_at_1",
        "idempotency.expires_at_1",
    }


def test_bodies_queries_and_keys_are_in_no_log_line(api, capsys, collection):
    import logging

    logging.getLogger().setLevel(logging.DEBUG)
    path = f"/service/storage/v1/{collection}/"
    api.send("POST", path, {"note": "very-private"})
    api.get(path, {"query": '{"note": "very-private"}'})
    api.send("POST", path, b'{"note": very-private')
    said = capsys.readouterr()
    logging.getLogger().setLevel(logging.INFO)
    assert "very-private" not in said.err + said.out
    assert api.key not in said.err + said.out

"""Values on the admin's pages: to be read by people, and never taken for markup."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.adminpages import Row, Table
from core.admintext import brief, code, moment, pretty, state


@pytest.mark.parametrize(
    "value", ["2026-01-31T12:30:05.123Z", datetime(2026, 1, 31, 12, 30, 5, 123000, tzinfo=UTC)]
)
def test_a_time_is_shown_to_the_second_and_held_exactly(value):
    assert moment(value) == (
        '<time datetime="2026-01-31T12:30:05.123Z" title="2026-01-31T12:30:05.123Z, UTC">'
        "2026-01-31 12:30:05</time>"
    )
    assert moment(None) is None


def test_a_state_has_the_colour_of_its_news():
    assert state("processed") == '<span class="state good">processed</span>'
    assert state("infected") == '<span class="state bad">infected</span>'
    assert state("<b>") == '<span class="state neutral">&lt;b&gt;</span>'
    assert state(None) is None


def test_json_is_written_for_people():
    value = {"name": "Zoë", "at": datetime(2026, 1, 31, tzinfo=UTC)}
    assert pretty(value) == (
        '{\n  "name": "Zoë",\n  "at": {\n    "$date": "2026-01-31T00:00:00Z"\n  }\n}'
    )
    assert brief(value, 100) == '{"name": "Zoë", "at": {"$date": "2026-01-31T00:00:00Z"}}'
    assert brief(value, 9) == '{"name": …'
    assert code("<b>") == "<code>&lt;b&gt;</code>"


def test_each_cell_knows_its_column():
    row = Row(["tea", 4.5, "more"])
    assert Table(["Name", "Price"], [row]).labelled() == [
        (row, [("Name", "tea"), ("Price", 4.5), ("", "more")])
    ]

"""How values look on the admin's pages: times, states, JSON. Called by the parts' admin modules."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.data.encoding import dumps
from core.times import rfc3339

_TONES: Mapping[str, str] = {
    **dict.fromkeys(("active", "success", "processed", "clean", "trialing"), "good"),
    **dict.fromkeys(
        ("failure", "failed", "malware", "infected", "error", "past_due", "unpaid", "incomplete"),
        "bad",
    ),
}


def moment(value: datetime | str | None) -> SafeString | None:
    """A time, to the second and on one line; the rest of it is shown when it is pointed at."""
    if value is None:
        return None
    exact = rfc3339(value) if isinstance(value, datetime) else value
    date, _, clock = exact.partition("T")
    return format_html(
        '<time datetime="{}" title="{}, UTC">{} {}</time>', exact, exact, date, clock[:8]
    )


def state(value: str | None) -> SafeString | None:
    """The word for how something is, in the colour of good or bad news, if it is either."""
    if value is None:
        return None
    return format_html('<span class="state {}">{}</span>', _TONES.get(value, "neutral"), value)


def code(text: str) -> SafeString:
    """A text that a machine reads."""
    return format_html("<code>{}</code>", text)


def pretty(value: object) -> str:
    """A value as JSON for people, member by member; typed ones as Extended JSON."""
    return json.dumps(json.loads(dumps(value)), indent=2, ensure_ascii=False)


def brief(value: object, length: int) -> str:
    """A value as JSON on one line, cut short."""
    text = json.dumps(json.loads(dumps(value)), ensure_ascii=False)
    return text if len(text) <= length else f"{text[:length]}…"

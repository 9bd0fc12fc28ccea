"""The admin's first page: how the parts are, and what went on in the last day.

Services add panels where they register their admin; a panel is shown to those who may see the
part that it is about, and one that fails says so without taking the page with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.http import HttpRequest

from core import activity, audit
from core.errors import CoglexError
from core.times import now

log = structlog.get_logger("coglex.admin")

Facts = Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Panel:
    """Some facts below a heading; ``permission`` is Django's, ``url`` names where more is."""

    title: str
    permission: str
    url: str
    facts: Callable[[datetime], Facts]


_panels: list[Panel] = []


def add_panel(title: str, *, permission: str, url: str, facts: Callable[[datetime], Facts]) -> None:
    """Add a panel; ``facts`` is given the time a day ago."""
    _panels.append(Panel(title, permission, url, facts))


def parts() -> list[tuple[str, bool]]:
    """Each part of the server, and whether it answers."""
    from core.http.health import PARTS, answers

    return [(name.replace("_", " "), answers(name, check)) for name, check in PARTS.items()]


def panels(request: HttpRequest) -> list[dict[str, Any]]:
    """``{"title", "url", "facts", "failed"}`` of the panels that this operator may see."""
    since = now() - timedelta(days=1)
    return [_shown(panel, since) for panel in _panels if request.user.has_perm(panel.permission)]


def _shown(panel: Panel, since: datetime) -> dict[str, Any]:
    try:
        return {"title": panel.title, "url": panel.url, "facts": panel.facts(since), "failed": ""}
    except CoglexError as error:
        log.warning("panel_failed", panel=panel.title, code=error.code)
        return {"title": panel.title, "url": panel.url, "facts": (), "failed": error.detail}


def requests() -> dict[str, Any]:
    """``{"hours", "total", "client_errors", "server_errors", "failed"}`` of the last day.

    Each hour has ``share`` and ``bad``: the heights of its bars in percent of the tallest.
    """
    try:
        hours = activity.last_day()
    except CoglexError as error:
        return {"hours": (), "failed": error.detail}
    tallest = max(1, *(hour["requests"] for hour in hours))
    bars = [
        {
            **hour,
            "share": round(100 * hour["requests"] / tallest),
            "bad": round(100 * hour["server_errors"] / tallest),
        }
        for hour in hours
    ]
    totals = {kind: sum(hour[kind] for hour in hours) for kind in activity.KINDS}
    return {"hours": bars, **totals, "failed": ""}


def audited(since: datetime, *wanted: tuple[str, str, str]) -> Facts:
    """Facts from the audit: for each label how often an action had an outcome since then."""
    counted = audit.count_by_action(since=since)
    return [(label, counted.get(action, {}).get(outcome, 0)) for label, action, outcome in wanted]

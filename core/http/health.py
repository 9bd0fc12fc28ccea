"""What load balancers, Prometheus and people ask: is it up, are its parts, how is it doing."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core import metrics
from core.data.client import ping
from core.errors import FieldError, Unavailable
from core.http.carried import carried
from core.http.permissions import protected
from core.http.problems import problem
from core.http.views import answer

log = structlog.get_logger("coglex.health")


def _django_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


PARTS: dict[str, Callable[[], object]] = {
    "mongodb": ping,
    "django_database": _django_database,
    "cache": lambda: cache.get("readyz"),
}


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 while the process runs; touches nothing else."""
    return answer({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when every part answers, else 503 naming those that do not."""
    failed = [name for name, check in PARTS.items() if not answers(name, check)]
    if not failed:
        return answer({"status": "ok", "parts": dict.fromkeys(PARTS, "ok")})
    detail = f"Not answering: {', '.join(failed)}."
    fields = [FieldError("Does not answer.", "unavailable", parameter=name) for name in failed]
    return problem(Unavailable(detail, errors=fields), carried(request).request_id)


@protected("metrics")
@require_safe
def show_metrics(request: HttpRequest) -> HttpResponse:
    """The figures of all workers, for keys with the scope ``metrics:read``."""
    return HttpResponse(metrics.exposition(), content_type=metrics.CONTENT_TYPE)


def answers(name: str, check: Callable[[], object]) -> bool:
    """Whether a part answers."""
    try:
        check()
    except Exception as error:  # noqa: BLE001 - each part's driver raises its own kind
        log.warning("part_unavailable", part=name, error=type(error).__name__)
        return False
    return True
